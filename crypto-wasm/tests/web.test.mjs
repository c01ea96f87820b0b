import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import './peers.mjs';

test('the browser build loads from its bytes and works', async () => {
  const web = await import('../pkg/web/sottovoce_crypto_wasm.js');
  await web.default({ module_or_path: await readFile(new URL('../pkg/web/sottovoce_crypto_wasm_bg.wasm', import.meta.url)) });

  const key = web.StorageKey.generate();
  const [context, record] = [new Uint8Array([1]), new Uint8Array([2, 3, 4])];
  const sealed = key.seal(context, record);
  assert.deepEqual(key.open(context, sealed), record);
  assert.throws(() => key.open(record, sealed), { name: 'OpenError', code: 'Refused' });
});
