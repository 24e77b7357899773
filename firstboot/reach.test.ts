import test from 'ava';
import {readLogins, readPeers} from './logins.ts';
import type {Probe} from './phase.ts';
import {findUnreachable} from './reach.ts';
import {probeRecord} from './record.ts';

const silence = (program: string, status: number) => new Error(`${program} exited with ${status}`);

/** A machine whose br0 has these addresses and gateways; an answer that is an error is thrown. */
function machine(addresses: readonly string[], commands: Record<string, unknown>): Probe {
	const addr_info = addresses.map(address => ({local: address, prefixlen: 24, scope: 'global'}));
	const answers: Record<string, unknown> = {
		'ip -json address show': [{ifname: 'br0', flags: ['LOWER_UP'], addr_info}],
		'ip -json -4 route show default dev br0': [],
		'ip -json -6 route show default dev br0': [],
		'ip -json neighbour show dev br0': [],
		...commands,
	};
	const record = probeRecord({commands: answers, files: {}});
	return {
		...record,
		output(command) {
			const answer = answers[command.join(' ')];
			return answer instanceof Error ? Promise.reject(answer) : record.output(command);
		},
	};
}

const four = {'ip -json -4 route show default dev br0': [{gateway: '192.0.2.1'}]};
const six = {'ip -json -6 route show default dev br0': [{gateway: 'fe80::1'}]};
const arp = (address: string) => `arping -q -f -c 3 -w 3 -I br0 ${address}`;
const nd = 'ndisc6 -q -1 -r 3 -w 1000 fe80::1 br0';
const management = 'br0';

test('each address family is asked at its own gateway', async t => {
	const both = {...four, ...six, [nd]: ''};
	const addresses = ['192.0.2.9', '2001:db8::9'];
	const mute = machine(addresses, {...both, [arp('192.0.2.1')]: silence('arping', 1)});
	t.is(await findUnreachable({management}, mute), 'br0 has 192.0.2.9, and no IPv4 gateway answers on it: 192.0.2.1');
	t.is(await findUnreachable({management}, machine(addresses, {...both, [arp('192.0.2.1')]: ''})), undefined);
	const deaf = machine(addresses, {...both, [arp('192.0.2.1')]: '', [nd]: silence('ndisc6', 2)});
	t.regex((await findUnreachable({management}, deaf)) ?? '', /no IPv6 gateway answers on it: fe80::1/);
});

test('a program that is missing or broken has not asked, which is no answer', async t => {
	for (const error of [new Error('arping could not be run: spawn arping ENOENT'), silence('arping', 2)]) {
		const broken = machine(['192.0.2.9'], {...four, [arp('192.0.2.1')]: error});
		await t.throwsAsync(findUnreachable({management}, broken), {message: /could not ask whether 192\.0\.2\.1 answers/});
	}
});

test('without a gateway the controller must answer, or a neighbour', async t => {
	const alone = machine(['192.0.2.9'], {});
	t.regex((await findUnreachable({management}, alone)) ?? '', /no gateway, and no neighbour answers/);
	const controller = '192.0.2.7';
	const ping = `ping -n -q -c 1 -W 2 ${controller}`;
	t.is(await findUnreachable({management, controller}, machine(['192.0.2.9'], {[ping]: ''})), undefined);
	const gone = machine(['192.0.2.9'], {[ping]: silence('ping', 2)});
	t.is(await findUnreachable({management, controller}, gone), 'the controller 192.0.2.7 does not answer');
	const neighbours = ['192.0.2.5'];
	t.is(await findUnreachable({management, neighbours}, machine(['192.0.2.9'], {[arp('192.0.2.5')]: ''})), undefined);
	const other = {
		'ip -json neighbour show dev br0': [{dst: '192.0.2.6', lladdr: '02:00:00:00:00:06'}, {dst: '192.0.2.8'}],
	};
	const lost = {...other, [arp('192.0.2.5')]: silence('arping', 1), [arp('192.0.2.6')]: silence('arping', 1)};
	t.regex((await findUnreachable({management, neighbours}, machine(['192.0.2.9'], lost))) ?? '', /no neighbour/);
});

test('an address that another machine has too is none', async t => {
	const addr_info = [{local: '2001:db8::9', prefixlen: 64, scope: 'global', dadfailed: true}];
	const twice = machine([], {'ip -json address show': [{ifname: 'br0', flags: ['LOWER_UP'], addr_info}]});
	t.regex((await findUnreachable({management}, twice)) ?? '', /has no address/);
});

test('who is logged in is known by address, in every form that ss prints', async t => {
	const sessions = [
		'0      0      192.0.2.9:22        192.0.2.7:51234 ',
		'0      0      [::ffff:192.0.2.9]:22 [::ffff:192.0.2.8]:4000',
		'0      36     [2001:db8::9]:22    [2001:db8::7]:51236',
		'0      0      [fe80::9%br0]:22    [fe80::7%br0]:51237',
		'0      0      127.0.0.1:22        127.0.0.1:51237',
	];
	const commands = {'ss --no-header --tcp --numeric state established sport = :22': `${sessions.join('\n')}\n`};
	t.deepEqual(await readPeers(probeRecord({commands, files: {}})), [
		'192.0.2.7',
		'192.0.2.8',
		'2001:db8::7',
		'fe80::7%br0',
	]);
});

test('a login is what sshd has accepted since, whatever the clock says', async t => {
	const text = [
		'Connection closed by authenticating user admin 192.0.2.6 port 1 [preauth]',
		'Accepted publickey for admin from 192.0.2.7 port 51234 ssh2: ED25519 SHA256:x',
	].join('\n');
	const command = 'journalctl --quiet --output=cat --after-cursor=s=1 --identifier=sshd --identifier=sshd-session';
	t.deepEqual(await readLogins(probeRecord({commands: {[command]: text}, files: {}}), 's=1'), ['192.0.2.7']);
});
