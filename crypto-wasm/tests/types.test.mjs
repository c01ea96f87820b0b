import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { sottovoce } from './peers.mjs';

const declarations = readFileSync(new URL('../pkg/web/sottovoce_crypto_wasm.d.ts', import.meta.url), 'utf8');

test('every class and method has a type and a sentence about it', () => {
  const classes = Object.entries(sottovoce).filter(([, value]) => typeof value === 'function' && value.prototype?.free);
  assert.ok(classes.length >= 11);
  for (const [name, value] of classes) {
    assert.match(declarations, new RegExp(`\\*/\nexport class ${name} \\{`), name);
    const body = declarations.split(`export class ${name} {`)[1].split('\n}')[0];
    const own = [...Object.getOwnPropertyNames(value), ...Object.getOwnPropertyNames(value.prototype)];
    for (const member of own) {
      if (['length', 'name', 'prototype', 'constructor', 'free'].includes(member) || member.startsWith('__')) continue;
      assert.match(body, new RegExp(`\\*/\n    (static |readonly )?${member}[(:]`), `${name}.${member}`);
    }
  }
});

test('no type is left open', () => {
  const ours = declarations.split('export type InitInput')[0];
  assert.doesNotMatch(ours, /: any\b|\bobject\b/i);
});
