import {createHash} from 'node:crypto';
import {type Probe, planFile, planNoFile, planNoService, planService, type Step} from './phase.ts';

/** Where each of our tables has its file. */
export const tablesFolder = '/etc/bringup/nft';
const dropIns = '/etc/systemd/system/nftables.service.d';

/**
 * Debian's nftables.service flushes the whole rule set when it starts and when it stops, and with it the rules of
 * libvirt, podman and K3s. Ours loads our tables only, before any link is up, and leaves them in force when it stops.
 */
const dropIn = `[Service]
ExecStart=
ExecReload=
ExecStop=
`;

/** One program for each table: what is wrong with one keeps no other out. The first-boot service says what is wrong. */
const formatDropIn = (path: string) => `[Service]
ExecStart=-/usr/sbin/nft --file ${path}
ExecReload=-/usr/sbin/nft --file ${path}
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

const pathOf = (name: string) => `${tablesFolder}/${name}.nft`;

/** The step that loads a table from its file. */
export function loadTable({family, name}: Pick<Table, 'family' | 'name'>): Step {
	return {do: 'run', command: ['nft', '--file', pathOf(name)], why: `load the table ${family} bringup`};
}

/** The step that removes a table, whether it is there or not. */
export function removeTable(family: Table['family']): Step {
	const stdin = `table ${family} bringup\ndelete table ${family} bringup\n`;
	return {do: 'run', command: ['nft', '--file', '-'], stdin, why: `remove the table ${family} bringup`};
}

/** Whether a table has its file, and so is in force at every boot. */
export async function hasTable(probe: Probe, name: string): Promise<boolean> {
	return (await probe.read(pathOf(name))) !== undefined;
}

/** The steps to a table of ours in force, now and at every boot; none when its rules are those in the kernel. */
export async function planTable(probe: Probe, table: Table): Promise<Step[]> {
	const path = pathOf(table.name);
	const file = await planFile(probe, path, formatTable(table), `write ${path}`);
	const service = [
		...(await planFile(probe, `${dropIns}/20-bringup-${table.name}.conf`, formatDropIn(path), `load ${path} at boot`)),
		...(await planFile(
			probe,
			`${dropIns}/10-bringup.conf`,
			dropIn,
			"keep nftables.service from flushing others' rules",
		)),
	];
	const right = await isInForce(probe, table);
	return [
		...file,
		...service,
		...(service.length > 0
			? ([{do: 'run', command: ['systemctl', 'daemon-reload'], why: 'let systemd read its files again'}] as const)
			: []),
		...(right ? [] : [loadTable(table)]),
		...(await planService(probe, 'nftables.service', 'load it at every boot')),
	];
}

/**
 * The steps that remove a table of ours from the kernel and from the boot; none where it has no file, which goes last. With
 * the last table the service is Debian's own again, which a stop would have flush everything: so it is stopped before.
 */
export async function planNoTable(probe: Probe, {family, name}: Pick<Table, 'family' | 'name'>): Promise<Step[]> {
	if (!(await hasTable(probe, name))) return [];
	const path = pathOf(name);
	const others = [...((await probe.list(tablesFolder))?.keys() ?? [])].filter(file => file !== `${name}.nft`);
	const last =
		others.length > 0
			? []
			: [
					...(await planNoService(probe, 'nftables.service', 'load no table at boot')),
					...(await planNoFile(probe, `${dropIns}/10-bringup.conf`, 'leave nftables.service to Debian')),
				];
	return [
		removeTable(family),
		...last,
		...(await planNoFile(probe, `${dropIns}/20-bringup-${name}.conf`, 'load it at no boot')),
		{do: 'run', command: ['systemctl', 'daemon-reload'], why: 'let systemd read its files again'},
		...(await planNoFile(probe, path, `remove ${path}`)),
	];
}
