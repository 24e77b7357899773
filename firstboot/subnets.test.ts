import {BlockList} from 'node:net';
import test from 'ava';
import {splitCidr, subnetHolds} from './subnets.ts';

test('a subnet holds the addresses that Node.js says it does', t => {
	const four = ['0.0.0.0', '10.0.0.1', '10.0.1.255', '192.0.2.7', '192.0.2.128', '255.255.255.255'];
	const six = [
		'::',
		'::1',
		'2001:db8::',
		'2001:db8::1:0:0:1',
		'2001:db8:ffff::',
		'::ffff:192.0.2.7',
		'::ffff:c000:207',
	];
	const last = ['fe80::5054:ff:fe62:7501', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', 'ffff::'];
	for (const address of [...four, ...six, ...last])
		for (const prefix of address.includes(':') ? [0, 1, 10, 16, 63, 64, 96, 120, 127, 128] : [0, 1, 8, 23, 24, 31, 32])
			for (const other of [...four, ...six, ...last]) {
				const cidr = `${address}/${prefix}`;
				const [one, two] = [splitCidr(cidr), splitCidr(`${other}/0`)];
				const list = new BlockList();
				list.addSubnet(one.address, one.prefix, one.family);
				const wanted = one.family === two.family && list.check(other, two.family);
				t.is(subnetHolds(cidr, other), wanted, `${cidr} ${other}`);
			}
	t.true(subnetHolds('fe80::/10', 'fe80::1%eth0'));
});
