import {connect} from 'node:net';
import {createInterface} from 'node:readline';

/** Sends one command over QEMU's machine protocol and waits for its answer. Throws with QEMU's own words. */
export async function sendQmp(socketPath: string, execute: string, args: Record<string, unknown> = {}): Promise<void> {
	const socket = connect(socketPath);
	try {
		await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
		const lines = createInterface({input: socket})[Symbol.asyncIterator]();
		const answer = async (): Promise<void> => {
			for (;;) {
				const {value, done} = await lines.next();
				if (done) throw new Error(`QEMU closed the connection before it answered ${execute}`);
				const message = JSON.parse(value as string) as {return?: unknown; error?: {desc: string}};
				if (message.error) throw new Error(`QEMU refuses ${execute}: ${message.error.desc}`);
				if ('return' in message) return;
			}
		};
		socket.write('{"execute":"qmp_capabilities"}\n');
		await answer();
		socket.write(`${JSON.stringify({execute, arguments: args})}\n`);
		await answer();
	} finally {
		socket.destroy();
	}
}
