import {createPublicKey} from 'node:crypto';

/** The fields of a key's blob, each with its length before it (RFC 4253, 6.6), or undefined where they do not end where the blob ends. */
function splitBlob(blob: Buffer): Buffer[] | undefined {
	const fields: Buffer[] = [];
	for (let at = 0; at < blob.length; ) {
		if (blob.length < at + 4) return undefined;
		const end = at + 4 + blob.readUInt32BE(at);
		if (blob.length < end) return undefined;
		fields.push(blob.subarray(at + 4, end));
		at = end;
	}
	return fields;
}

/** The bits of a positive number of at most 2048 bytes, as OpenSSH takes it; undefined for any other. */
function countBits(number: Buffer): number | undefined {
	if ((number[0] ?? 0) >= 0x80) return undefined; // negative
	const digits = number.toString('hex').replace(/^(00)+/, '');
	if (digits.length > 2 * 2048) return undefined;
	return digits === '' ? 0 : (digits.length / 2) * 8 - Math.clz32(Number.parseInt(digits.slice(0, 2), 16)) + 24;
}

/** Whether a point is on the curve, given whole: 04, x, y (SEC 1, 2.3.3). */
function isOnCurve(point: Buffer, curve: string): boolean {
	const size = Math.ceil(Number(curve.slice('nistp'.length)) / 8);
	if (point.length !== 1 + 2 * size || point[0] !== 4) return false;
	const [x, y] = [point.subarray(1, 1 + size), point.subarray(1 + size)].map(part => part.toString('base64url'));
	try {
		createPublicKey({format: 'jwk', key: {kty: 'EC', crv: curve.replace('nistp', 'P-'), x: x ?? '', y: y ?? ''}});
		return true;
	} catch {
		return false;
	}
}

type Check = (fields: readonly Buffer[]) => string | undefined;

const damaged = 'the key is damaged; copy the whole line of the .pub file again';

const ed25519: Check = ([key, ...more]) => (key?.length === 32 && more.length === 0 ? undefined : damaged);

const rsa: Check = ([exponent, modulus, ...more]) => {
	if (!exponent || !modulus || more.length > 0 || countBits(exponent) === undefined) return damaged;
	const bits = countBits(modulus);
	if (bits === undefined) return damaged;
	return bits < 1024
		? `the key has ${bits} bits, and OpenSSH takes 1024 or more; make another: ssh-keygen -t ed25519`
		: undefined;
};

const ecdsa =
	(curve: string): Check =>
	([name, point, ...more]) =>
		name?.toString() === curve && point && isOnCurve(point, curve) && more.length === 0 ? undefined : damaged;

/** A key on a token names what it is for at its end. */
const withApplication =
	(check: Check): Check =>
	fields =>
		fields.length < 2 ? damaged : check(fields.slice(0, -1));

/** What follows the type, by type. */
const checks = new Map<string, Check>([
	['ssh-ed25519', ed25519],
	['ssh-rsa', rsa],
	...[256, 384, 521].map(size => [`ecdsa-sha2-nistp${size}`, ecdsa(`nistp${size}`)] as const),
	['sk-ssh-ed25519@openssh.com', withApplication(ed25519)],
	['sk-ecdsa-sha2-nistp256@openssh.com', withApplication(ecdsa('nistp256'))],
]);

/** What is wrong with a public key line of OpenSSH, or undefined. It takes no line that `ssh-keygen -l` refuses. */
export function findKeyFault(line: string): string | undefined {
	if (/[\r\n]/.test(line)) return 'a key is one line';
	if (line.includes('PRIVATE KEY')) return 'this is a private key; give the public one (.pub)';
	if (/(?!\t)\p{Cc}/u.test(line)) return 'a control character is in the line; copy the line of the .pub file again';
	const [type = '', text = ''] = line.replace(/^[ \t]+/, '').split(/[ \t]+/);
	const check = checks.get(type);
	if (!check) return 'expected an OpenSSH public key: ssh-ed25519 AAAA… comment';
	const blob = Buffer.from(text, 'base64');
	const [inner, ...fields] = (blob.toString('base64') === text && splitBlob(blob)) || [];
	return inner?.toString('latin1') === type ? check(fields) : damaged;
}
