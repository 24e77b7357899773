import {createHash} from 'node:crypto';
import {type Probe, planFile, planService, type Step} from './phase.ts';

const folder = '/etc/bringup/nft';
const main = '/etc/bringup/nftables.conf';

/**
 * Debian's nftables.service flushes the whole rule set when it starts and when it stops, and with it the rules of
 * libvirt, podman and K3s. Ours loads our tables only, and leaves them in force when it stops.
 */
const dropIn = `[Service]
ExecStart=
ExecStart=/usr/sbin/nft --file ${main}
ExecReload=
ExecReload=/usr/sbin/nft --file ${main}
ExecStop=
`;

/** A table of nftables that is ours alone. */
export interface Table {
	family: 'inet' | 'bridge';
	/** Names the file; the table itself is always called bringup. */
	name: string;
	/** The chains and sets between the braces. */
	content: string;
}

/** The content with an empty chain that is named by its digest: it tells which content the kernel has. */
function sign(content: string): string {
	const digest = createHash('sha256').update(content).digest('hex').slice(0, 16);
	return `\tchain content-${digest} {\n\t}\n${content}`;
}

/** The file of a table, as nft reads it. */
export function formatTable({family, content}: Table): string {
	// Named and deleted in the same transaction: no moment without the table, no rule of the old one left.
	return `table ${family} bringup\ndelete table ${family} bringup\ntable ${family} bringup {\n${sign(content)}}\n`;
}

const countRules = (text: string) => text.match(/\b(accept|drop|return)\b(?!;)/g)?.length ?? 0;

/** Whether the rules in force are those of the profile: the same content was loaded, and as many rules are there. */
async function isInForce(probe: Probe, {family, content}: Table): Promise<boolean> {
	const tables = (await probe.output(['nft', 'list', 'tables'])).split('\n');
	if (!tables.includes(`table ${family} bringup`)) return false;
	const found = await probe.output(['nft', '--stateless', 'list', 'table', family, 'bringup']);
	return found.includes(sign(content).split(' {')[0] ?? '') && countRules(found) === countRules(content);
}

/** The steps to a table of ours in force, now and at every boot; none when its rules are those in the kernel. */
export async function planTable(probe: Probe, table: Table): Promise<Step[]> {
	const path = `${folder}/${table.name}.nft`;
	const files = [
		...(await planFile(probe, path, formatTable(table), `write ${path}`)),
		...(await planFile(probe, main, `include "${folder}/*.nft"\n`, 'load our tables at boot')),
	];
	const service = await planFile(
		probe,
		'/etc/systemd/system/nftables.service.d/10-bringup.conf',
		dropIn,
		"keep nftables.service from flushing others' rules",
	);
	const load: Step = {do: 'run', command: ['nft', '--file', path], why: `load the table ${table.family} bringup`};
	const right = await isInForce(probe, table);
	return [
		...files,
		...service,
		...(service.length > 0
			? ([{do: 'run', command: ['systemctl', 'daemon-reload'], why: 'let systemd read its files again'}] as const)
			: []),
		...(right ? [] : [load]),
		...(await planService(probe, 'nftables.service', 'load it at every boot')),
	];
}
