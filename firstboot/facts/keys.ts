/** What is wrong with a public key line of OpenSSH, or undefined. The inner length-prefixed type must be the outer one (RFC 4253, 6.6). */
export function findKeyFault(line: string): string | undefined {
	if (/[\r\n]/.test(line)) return 'a key is one line';
	if (line.includes('PRIVATE KEY')) return 'this is a private key; give the public one (.pub)';
	const [type = '', blob = ''] = line.trim().split(/\s+/);
	if (
		!/^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)$/.test(type)
	) {
		return 'expected an OpenSSH public key: ssh-ed25519 AAAA… comment';
	}
	const bytes = Buffer.from(blob, 'base64');
	const length = bytes.length >= 4 ? bytes.readUInt32BE(0) : 0;
	if (
		bytes.toString('base64').replace(/=+$/, '') !== blob.replace(/=+$/, '') ||
		bytes.subarray(4, 4 + length).toString() !== type
	) {
		return 'the key is damaged; copy the whole line of the .pub file again';
	}
	return bytes.length < 4 + length + 4 + 32
		? 'the key is cut short; copy the whole line of the .pub file again'
		: undefined;
}
