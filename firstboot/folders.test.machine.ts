/** The kernel's table of mounts, with these. */
export const mountsOf = (...paths: readonly string[]) => ({
	'/proc/self/mountinfo': paths.map((path, index) => `${index} 1 8:1 / ${path} rw - ext4 /dev/sda1 rw\n`).join(''),
});

/**
 * The folders of a recorded machine in which these lie, all the way up. A line is a path and what follows the name in a
 * record: type, size, time, inode, target.
 */
export function foldersOf(lines: Iterable<string>): Record<string, string> {
	const found = new Map<string, string>();
	for (const line of lines) {
		const [path = '', ...rest] = line.split('\t');
		if (!found.has(path)) found.set(path, rest.join('\t'));
		for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1))
			found.set(path.slice(0, end), 'd');
	}
	const folders: Record<string, string> = {};
	for (const [path, rest] of found) {
		const name = path.lastIndexOf('/') + 1;
		const folder = path.slice(0, name);
		folders[folder] = `${folders[folder] ?? ''}${path.slice(name)}\t${rest || 'f'}\n`;
		if (rest === 'd') folders[`${path}/`] ??= '';
	}
	return folders;
}
