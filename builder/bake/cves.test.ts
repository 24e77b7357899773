import test from 'ava';
import {findCves} from './cves.ts';

const changelog = `openssl (3.5.1-1+deb13u2) trixie-security; urgency=medium

  * CVE-2025-9231, CVE-2025-9230: mended

 -- Someone <someone@example.org>  Tue, 30 Sep 2025 00:00:00 +0000

openssl (3.5.1-1+deb13u1) trixie-security; urgency=medium

  * CVE-2025-9230 (again), CVE-2025-100001

 -- Someone <someone@example.org>  Mon, 29 Sep 2025 00:00:00 +0000

openssl (3.5.1-1) unstable; urgency=medium

  * CVE-2024-0001

 -- Someone <someone@example.org>  Tue, 1 Jul 2025 00:00:00 +0000
`;

test('the entries after the old version say what a new one mends, each once', t => {
	t.deepEqual(findCves(changelog, '3.5.1-1'), ['CVE-2025-100001', 'CVE-2025-9230', 'CVE-2025-9231']);
	t.deepEqual(findCves(changelog, '3.5.1-1+b2'), findCves(changelog, '3.5.1-1'));
	t.deepEqual(findCves(changelog, '3.5.1-1+deb13u1'), ['CVE-2025-9230', 'CVE-2025-9231']);
});

test('nothing is said where the changelog does not reach back to the old version', t => {
	t.is(findCves(changelog, '3.4.0-1'), undefined);
	t.is(findCves('', '3.5.1-1'), undefined);
});
