import {isShut, readDatabase} from './accounts.ts';
import {type Probe, planFile, planNoFile, type Step} from './phase.ts';

/** The account for the console of a machine whose network is gone. sshd_config refuses it by this name. */
export const recoveryUser = 'recovery';

const sudoersPath = '/etc/sudoers.d/20-bringup-recovery';

/** Where the build puts the hash of the recovery code. */
export const recoveryPath = '/etc/bringup/secrets/recovery';

async function findEntry(probe: Probe, database: 'passwd' | 'shadow'): Promise<string[] | undefined> {
	return (await readDatabase(probe, database)).find(([name]) => name === recoveryUser);
}

async function readHash(probe: Probe): Promise<string> {
	const hash = (await probe.read(recoveryPath))?.trim();
	if (hash) return hash;
	throw new Error(
		`the hash of the recovery code is not in ${recoveryPath}; build the medium again, or set hardening.recovery: false`,
	);
}

/** The steps to an account that the recovery code opens, at the console and nowhere else. */
export async function planRecovery(probe: Probe): Promise<Step[]> {
	const hash = await readHash(probe);
	const [account, password] = await Promise.all([findEntry(probe, 'passwd'), findEntry(probe, 'shadow')]);
	if (account && Number(account[2]) >= 1000)
		throw new Error(
			`a user ${recoveryUser} is there who is somebody else; rename him, or set hardening.recovery: false`,
		);
	const steps: Step[] = [];
	if (!account) {
		const command = [
			...(['useradd', '--system', '--gid', 'nogroup', '--no-create-home', '--home-dir', '/'] as const),
			...['--shell', '/bin/bash', '--password', '*', recoveryUser],
		] as const;
		steps.push({do: 'run', command, why: `make the user ${recoveryUser}, for the console`});
	} else if (!password) {
		// useradd writes several files; a power cut between two of them leaves half an account.
		steps.push({do: 'run', command: ['pwconv'], why: `complete the account of ${recoveryUser}`});
	}
	if (password?.[7] === '1') {
		const command = ['usermod', '--expiredate', '', recoveryUser] as const;
		steps.push({do: 'run', command, why: `let the user ${recoveryUser} in again`});
	}
	if (password?.[1] !== hash) {
		const stdin = `${recoveryUser}:${hash}\n`;
		steps.push({
			do: 'run',
			command: ['chpasswd', '--encrypted'],
			stdin,
			why: 'let the recovery code in at the console',
		});
	}
	const sudoers = `${recoveryUser} ALL=(ALL:ALL) NOPASSWD: ALL\n`;
	return [...steps, ...(await planFile(probe, sudoersPath, sudoers, 'let it become root', 0o440))];
}

/** The steps that shut the account again. That it is ours is told by the file that lets it become root, which goes last. */
export async function planNoRecovery(probe: Probe): Promise<Step[]> {
	if ((await probe.read(sudoersPath)) === undefined) return [];
	const [account, password] = await Promise.all([findEntry(probe, 'passwd'), findEntry(probe, 'shadow')]);
	const isOpen = account && Number(account[2]) < 1000 && !isShut(password);
	const command = ['usermod', '--lock', '--expiredate', '1', recoveryUser] as const;
	const lock: Step = {
		do: 'run',
		command,
		why: `shut the user ${recoveryUser}, which the profile does not have any more`,
	};
	return [...(isOpen ? [lock] : []), ...(await planNoFile(probe, sudoersPath, 'let it become root no more'))];
}
