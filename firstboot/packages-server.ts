import {createReadStream, statSync} from 'node:fs';
import {createServer, type Server} from 'node:http';
import {join, normalize} from 'node:path';

/** The file of a folder that a URL names; undefined where there is none, and for what lies outside. */
function findFile(folder: string, url: string): {path: string; size: number} | undefined {
	try {
		const path = join(folder, normalize(`/${decodeURIComponent(url)}`));
		const found = statSync(path);
		return found.isFile() ? {path, size: found.size} : undefined;
	} catch {
		return undefined;
	}
}

/** Gives the packages of the medium to debian-installer, which takes them from a web server; and to nobody outside. */
export async function servePackages(folder: string, port: number): Promise<Server> {
	const server = createServer(({url = '', method}, response) => {
		const file = findFile(folder, url.replace(/[?#].*$/, ''));
		if (!file) {
			response.writeHead(404).end();
			return;
		}
		response.writeHead(200, {'Content-Length': file.size});
		if (method === 'HEAD') response.end();
		else
			createReadStream(file.path)
				.on('error', () => response.destroy()) // a stick that was pulled out
				.pipe(response);
	});
	await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
	return server;
}
