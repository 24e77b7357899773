import {listEnabled, listUnits, type Probe, type Step} from '../phase.ts';
import {containersSchema, formatUnits} from '../quadlet.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';

export const digest = 'dd5da9c8f2527baf4fb56c3d0ba70fbefff3419b796f87e20de4ab844da8e12e';
const asset = {asset: {file: 'web.tar', sha256: digest}};

export const web = {
	uid: 2001,
	images: {'localhost/web:1': asset},
	secrets: {token: {secret: {env: 'TOKEN'}}},
	files: {'note.txt': 'hi\n'},
	units: {
		'web.container': {
			Container: {
				Image: 'localhost/web:1',
				PublishPort: ['8081:80'],
				Secret: 'token,type=env',
				Volume: 'data.volume:/data',
			},
			Service: {Restart: 'always'},
		},
		'once.container': {Container: {Image: 'localhost/web:1', Exec: 'true'}, Service: {Type: 'oneshot'}},
		'data.volume': {Volume: {}},
	},
};

export const parse = (user: object) => containersSchema.parse({users: {web: user}});
export const config = parse(web);

export const folder = '/etc/containers/systemd/users';
export const storage = '/home/web/.local/share/containers/storage';
export const [units, enabled] = [listUnits.join(' '), listEnabled.join(' ')];
const asWeb = 'setpriv --reuid=web --regid=web --init-groups env XDG_RUNTIME_DIR=/run/user/2001 systemctl --user';
const show = `${asWeb} show --property=Id,LoadState,ActiveState,NeedDaemonReload,InactiveExitTimestampMonotonic,Type,Job`;
export const services = `${show} web.service once.service data-volume.service`;

export const state = (id: string, active: string, more = 'Type=notify\nJob=\nNeedDaemonReload=no') =>
	`Id=${id}\nLoadState=loaded\nActiveState=${active}\nInactiveExitTimestampMonotonic=14641866233\n${more}\n`;
export const oneshot = 'Type=oneshot\nJob=\nNeedDaemonReload=no';

/** In the form of what Debian 13 answered: podman 5.4.2, systemd 257. */
export const done: RecordedMachine = {
	commands: {
		[units]:
			'bringup.service loaded activating start Configure this machine\nuser@2001.service loaded active running User Manager for UID 2001\n',
		[enabled]: 'bringup.service\n',
		[services]: [
			state('web.service', 'active'),
			state('once.service', 'inactive', oneshot),
			state('data-volume.service', 'active', oneshot),
		].join('\n'),
	},
	files: {
		'/home/': 'web\td\n',
		[`${folder}/2001/`]: 'note.txt\nweb.container\nonce.container\ndata.volume\n',
		'/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\nweb:x:2001:2001::/home/web:/usr/sbin/nologin\n',
		'/etc/group': 'root:x:0:\nweb:x:2001:\n',
		'/etc/shadow': 'root:*:20778:0:99999:7:::\nweb:!:20778::::::\n',
		'/etc/subuid': 'admin:100000:65536\nweb:10065536:65536\n',
		'/etc/subgid': 'admin:100000:65536\nweb:10065536:65536\n',
		'/etc/systemd/system/bringup.service.d/10-containers.conf':
			'[Unit]\nWants=network-online.target user@2001.service\nAfter=user@2001.service\n',
		'/var/lib/systemd/linger/web': '',
		'/var/lib/bringup/owned/secrets-of-web': 'token\n',
		'/etc/bringup/secrets/env-TOKEN': 's3cret\n',
		[`${folder}/2001/note.txt`]: 'hi\n',
		...Object.fromEntries([...formatUnits(config.users['web'] as never)].map(([k, v]) => [`${folder}/2001/${k}`, v])),
		[`${storage}/overlay-images/images.json`]: JSON.stringify([
			{id: '933587208be9', names: [`localhost/web:1-bringup-${digest}`, 'localhost/web:1']},
			{id: '5933976a88e2'},
		]),
		[`${storage}/overlay-layers/layers.json`]: '[]',
		[`${storage}/secrets/secrets.json`]: '{"nameToID": {"token": "75dd24201aea19870c4b10f30"}}',
		[`${storage}/secrets/filedriver/secretsdata.json`]: '{"75dd24201aea19870c4b10f30": "czNjcmV0"}',
	},
};

export function machine(commands: Record<string, unknown> = {}, files: Record<string, string | undefined> = {}): Probe {
	const merged = Object.entries({...done.files, ...files}).filter(
		(entry): entry is [string, string] => entry[1] !== undefined,
	);
	return probeRecord({commands: {...done.commands, ...commands}, files: Object.fromEntries(merged)});
}

export const blank: RecordedMachine = {
	commands: {
		[units]: 'bringup.service loaded activating start Configure this machine\n',
		[enabled]: 'bringup.service\n',
	},
	files: {
		'/home/': 'admin\td\n',
		'/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\nadmin:x:1000:1000::/home/admin:/bin/bash\n',
		'/etc/group': 'root:x:0:\nadmin:x:1000:\n',
		'/etc/shadow': 'root:*:20778:0:99999:7:::\nadmin:*:20778:0:99999:7:::\n',
		'/etc/subuid': 'admin:100000:65536\n',
		'/etc/subgid': 'admin:100000:65536\n',
		'/etc/bringup/secrets/env-TOKEN': 's3cret\n',
	},
};

export const whys = (steps: readonly Step[]) => steps.map(({why}) => why);
export const assets = '/var/lib/bringup/assets/';
export const there = {[assets]: `${digest}\n`};
