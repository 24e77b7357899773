import {createHash, createHmac, randomBytes, X509Certificate} from 'node:crypto';
import {mkdir, readFile, rename, stat, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {
	authorityFiles,
	findNode,
	listClusterFiles,
	type Member,
	nodePasswordPath,
	placeForDomain,
} from '../../firstboot/sequence.ts';
import {withFolder} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {run, UserError} from '../run.ts';

const days = {root: 7300, below: 3700};

const extensions = `[req]
distinguished_name = subject
[subject]
[authority]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
basicConstraints = critical, CA:true
keyUsage = critical, digitalSignature, keyEncipherment, keyCertSign
`;

/** An authority in the folder: its key, its certificate, and the certificates up to the root. */
interface Authority {
	/** File name without its ending. */
	name: string;
	/** PEM, its own first. */
	chain: string;
}

async function openssl(folder: string, command: readonly string[]): Promise<string> {
	return run(['openssl', ...command], {cwd: folder});
}

/** Of the kind that K3s makes for its own authorities. */
const makeKey = (folder: string, key: string) =>
	openssl(folder, ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key]);

async function makeRoot(folder: string, cluster: string): Promise<Authority> {
	const name = 'root-ca';
	await makeKey(folder, `${name}.key`);
	const subject = ['-subj', `/CN=${cluster} ${name}`, '-config', 'extensions', '-extensions', 'authority'];
	const terms = ['-new', '-x509', '-sha256', '-days', String(days.root)];
	await openssl(folder, ['req', ...terms, ...subject, '-key', `${name}.key`, '-out', `${name}.crt`]);
	return {name, chain: await readFile(join(folder, `${name}.crt`), 'utf8')};
}

async function makeAuthority(folder: string, cluster: string, name: string, signer: Authority): Promise<Authority> {
	const key = `${name}.key`;
	await makeKey(folder, key);
	const subject = ['-subj', `/CN=${cluster} ${name.replace('/', '-')}`, '-config', 'extensions'];
	await openssl(folder, ['req', '-new', ...subject, '-key', key, '-out', 'request']);
	const serial = `0x01${randomBytes(15).toString('hex')}`;
	const signing = ['-CA', `${signer.name}.crt`, '-CAkey', `${signer.name}.key`, '-set_serial', serial];
	const terms = ['-sha256', '-days', String(days.below), '-extfile', 'extensions', '-extensions', 'authority'];
	const own = await openssl(folder, ['x509', '-req', '-in', 'request', ...signing, ...terms]);
	const chain = own + signer.chain;
	await writeFile(join(folder, `${name}.crt`), chain);
	return {name, chain};
}

/** K3s takes the SHA-256 of the root's DER where the bundle is a chain (pkg/clientaccess, hashCA). */
function hashRoot(root: string): string {
	return createHash('sha256').update(new X509Certificate(root).raw).digest('hex');
}

async function mint(folder: string, cluster: string): Promise<void> {
	await mkdir(join(folder, 'etcd'));
	await writeFile(join(folder, 'extensions'), extensions);
	const root = await makeRoot(folder, cluster);
	const intermediate = await makeAuthority(folder, cluster, 'intermediate-ca', root);
	for (const file of authorityFiles.filter(file => file.endsWith('.crt')))
		await makeAuthority(folder, cluster, file.slice(0, -'.crt'.length), intermediate);
	await openssl(folder, ['genrsa', '-traditional', '-out', 'service.key', '2048']);
	const secret = () => randomBytes(32).toString('hex');
	const hash = hashRoot(root.chain);
	await writeFile(join(folder, 'token'), `K10${hash}::server:${secret()}\n`, {mode: 0o600});
	await writeFile(join(folder, 'agent-token'), `K10${hash}::node:${secret()}\n`, {mode: 0o600});
	await writeFile(join(folder, 'node-key'), `${secret()}\n`, {mode: 0o600});
}

/** Every file of a cluster's folder that is needed again. */
export const clusterFiles = [
	...['root-ca', 'intermediate-ca'].flatMap(name => [`${name}.crt`, `${name}.key`]),
	...authorityFiles,
	...['token', 'agent-token', 'node-key'],
];

/** Puts a finished folder in its place, unless one is there; says whether it did. */
export async function placeCluster(made: string, folder: string): Promise<boolean> {
	await run(['sync', '--file-system', made]);
	const placed = await rename(made, folder).then(
		() => true,
		error => {
			if (!['ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
			return false;
		},
	);
	await run(['sync', '--file-system', dirname(folder)]);
	return placed;
}

/** Makes the cluster's folder once; who comes second, in another process too, finds that of the first. */
export async function makeCluster(clusters: string, cluster: string): Promise<string> {
	const folder = join(clusters, cluster);
	if (await stat(folder).catch(() => undefined)) return folder;
	await withFolder(clusters, async work => {
		await mint(work, cluster);
		await placeCluster(work, folder);
	});
	return folder;
}

/** Throws a UserError that names a file which is missing, or a token that is not of the root. */
export async function checkCluster(folder: string): Promise<void> {
	const prefix = `K10${hashRoot(await readWhole(folder, 'root-ca.crt'))}::`;
	for (const name of clusterFiles) checkToken(folder, name, await readWhole(folder, name), prefix);
}

function checkToken(folder: string, name: string, text: string, prefix: string): void {
	if (name.endsWith('token') && !text.startsWith(prefix))
		throw new UserError(`${join(folder, name)} is not of the root-ca.crt beside it; restore the folder from a copy`);
}

async function readWhole(folder: string, name: string): Promise<string> {
	const text = (await readFile(join(folder, name), 'utf8').catch(() => '')).trimEnd();
	if (text !== '') return text;
	throw new UserError(
		`${join(folder, name)} is missing or empty. Restore the folder from a copy (bringup cluster import); or, to begin a new cluster that no node of the old one can join, move it away`,
	);
}

/** Who is of a cluster: the machine of a profile, and those of its domains whose seeds name one. */
export interface Membership {
	member: Member;
	hostname: string;
	/** The domain that it is, where it is not the machine itself. */
	domain?: string;
	/** Where the machine has what stands at that path on the member. */
	place: (path: string) => string;
}

/** The members of clusters that a profile makes; none where it is of a golden image. */
export function listMembers({fields: {kubernetes, identity, virtualization}}: CompleteProfile): Membership[] {
	const {cluster} = kubernetes ?? {};
	const own = {hostname: identity.hostname ?? '', place: (path: string) => path};
	const clones = Object.entries(virtualization?.domains ?? {}).flatMap(([name, {seed}]) => {
		const node = seed && findNode(name, seed);
		return node ? [{...node, domain: name, place: (path: string) => placeForDomain(name, path)}] : [];
	});
	return [...(kubernetes && cluster !== undefined ? [{...own, member: {...kubernetes, cluster}}] : []), ...clones];
}

/**
 * The files that make one machine a member of its cluster: by the path on the machine, each of mode 0600. Made at the
 * first build that names the cluster, kept in `clusters`, and the same ever after.
 *
 * - The keys of root and intermediate stay on the workstation. The first server gets the authorities that it signs with;
 *   a further server has them from the first one, over a connection that its token authenticates; an agent has none.
 * - An agent gets the agent token alone: with the server token it could become a server.
 * - The node password is what K3s knows a node by. A server keeps its hash, and refuses another one under the same name
 *   until the node is deleted (`kubectl delete node`). It is an HMAC of the node's name under a key that stays on the
 *   workstation, so a machine that is installed anew is known again, and no machine can tell another's. That needs the
 *   name at build time: for a pattern such as `node-{mac}` the key would have to be on the medium, and with it every node
 *   could take the place of every other, its secrets included. There K3s makes its own, and who installs such a machine
 *   anew deletes the node first.
 */
export async function fetchClusterFiles(
	member: Member,
	hostname: string,
	clusters: string,
): Promise<Map<string, string>> {
	const folder = await makeCluster(clusters, member.cluster);
	const prefix = `K10${hashRoot(await readWhole(folder, 'root-ca.crt'))}::`;
	const files = new Map<string, string>();
	for (const [path, name] of listClusterFiles(member, hostname)) {
		const text = await readWhole(folder, name);
		checkToken(folder, name, text, prefix);
		const node = (member.nodeName ?? hostname).toLowerCase();
		const password = () => createHmac('sha256', text).update(node).digest('hex').slice(0, 32);
		files.set(path, path === nodePasswordPath ? password() : text);
	}
	return files;
}

/** The same for several members, by the path that each file has on the machine. */
export async function fetchMembers(members: readonly Membership[], clusters: string): Promise<Map<string, string>> {
	const files = new Map<string, string>();
	for (const {member, hostname, place} of members)
		for (const [path, text] of await fetchClusterFiles(member, hostname, clusters)) files.set(place(path), text);
	return files;
}
