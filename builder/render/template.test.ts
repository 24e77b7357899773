import test from 'ava';
import {fillTemplate} from './template.ts';

test('names are filled in', t => {
	t.is(fillTemplate('t', 'a {{x}}{{#list}} {{.}}{{/list}}', {x: '1', list: ['2', '3']}, 'line'), 'a 1 2 3');
});

test('an unknown name is an error at its line, also inside a section that is empty', t => {
	t.throws(() => fillTemplate('t', 'a\nb {{nmae}}', {name: 'x'}, 'line'), {message: 't:2: unknown name nmae'});
	t.throws(() => fillTemplate('t', '{{#list}}\n{{other}}\n{{/list}}', {list: []}, 'line'), {
		message: 't:2: unknown name other',
	});
	t.throws(() => fillTemplate('t', '{{^gone}}x{{/gone}}', {}, 'line'), {message: 't:1: unknown name gone'});
});

test('nothing goes unescaped', t => {
	t.throws(() => fillTemplate('t', '{{{x}}}', {x: '1'}, 'line'), {message: /not allowed/});
	t.throws(() => fillTemplate('t', '{{&x}}', {x: '1'}, 'line'), {message: /not allowed/});
	t.throws(() => fillTemplate('t', '{{>x}}', {x: '1'}, 'line'), {message: /no partials/});
});

test('a line break in a value cannot become a directive', t => {
	for (const escaping of ['line', 'shell', 'grub'] as const) {
		t.throws(() => fillTemplate('t', 'URIs: {{x}}', {x: 'a\nSigned-By: b'}, escaping), {message: /line break/});
	}
});

test('shell and GRUB values are one word', t => {
	t.is(fillTemplate('t', 'x={{x}}', {x: "a'; rm -rf /; '"}, 'shell'), "x='a'\\''; rm -rf /; '\\'''");
	t.is(fillTemplate('t', 'x={{x}}', {x: 'a; b'}, 'grub'), "x='a; b'");
	t.throws(() => fillTemplate('t', '{{x}}', {x: "it's"}, 'grub'), {message: /GRUB cannot take/});
});
