import test from 'ava';
import {isPlaceholderSerial, resolveHostname} from './names.ts';
import {probeRecord} from './record.ts';

const said = [
	'',
	' ',
	'0',
	'00000000',
	'0123456789',
	'123456789',
	'1234567890',
	'012345678',
	'9876543210',
	'To be filled by O.E.M.',
	'To Be Filled By O.E.M',
	'Default string',
	'System Serial Number',
	'Chassis Serial Number',
	'Base Board Serial Number',
	'Not Specified',
	'Not Available',
	'Not Applicable',
	'Not Present',
	'Not Set',
	'None',
	'(none)',
	'N/A',
	'NA',
	'n.a.',
	'Unknown',
	'INVALID',
	'OEM',
	'O.E.M.',
	'No Asset Information',
	'x.x',
	'xxxxxxxx',
	'....',
	'............',
	'-',
	'--',
	'Empty',
	'11111111',
	'1-1-1',
	'Serial Number',
	'SerialNumber',
	'NULL',
	'ffffffff',
	'01234567890123456789',
];

const real = [
	'BU-0001',
	'CZC1234567',
	'S0EXAMPLE000001',
	'G6BN123456AB',
	'5CG8123XYZ',
	'MXL0012NA4',
	'PF-1NONE3',
	'120356789',
	'FCH2104V0OEM',
];

test('what firmware says where a board has no serial number is not taken for one', t => {
	for (const serial of said) t.true(isPlaceholderSerial(serial), serial);
	for (const serial of real) t.false(isPlaceholderSerial(serial), serial);
});

test('a host name of a serial number is a host name, or the machine says why not', async t => {
	const resolve = (serial: string, pattern = 'node-{serial}') =>
		resolveHostname(pattern, probeRecord({commands: {}, files: {'/sys/class/dmi/id/product_serial': `${serial}\n`}}));
	for (const serial of said) await t.throwsAsync(resolve(serial), {message: /has no serial number/});
	t.is(await resolve(' CZC 12.34/5 '), 'node-czc-12-34-5');
	t.is(await resolve('CZC12345', '{serial}'), 'czc12345');
	t.is(await resolve('CZC12345-', '{serial}'), 'czc12345');
	await t.throwsAsync(resolve('ABC'.repeat(30)), {message: /not a host name of 1 to 63/});
});
