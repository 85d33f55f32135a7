import { expect, test } from 'vitest';
import { unreadable } from './unreadable.ts';

const asked = '"jsonrpc":"2.0","id":7,"method":"ping"';
const look = (line: string) => unreadable(Buffer.from(line));

test.each([
  '',
  ' \r',
  `{${asked}}`,
  `{${asked}}\r`,
  `{${asked},"params":{}}`,
  '{"jsonrpc":"2.0","method":"notifications/initialized"}',
  '{"jsonrpc":"2.0","id":1,"result":{}}',
  '{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"m"}}',
])('%j is for the SDK', (line) => {
  expect(look(line)).toBeUndefined();
});

test.each([
  ['{', null, -32_700],
  ['hello', null, -32_700],
  ['\u0000', null, -32_700],
  ['5', null, -32_600],
  ['null', null, -32_600],
  ['{}', null, -32_600],
  [`[{${asked}}]`, null, -32_600],
  ['{"jsonrpc":"1.0","id":7,"method":"ping"}', 7, -32_600],
  ['{"jsonrpc":"2.0","id":"x"}', 'x', -32_600],
  ['{"jsonrpc":"2.0","id":7,"method":5}', 7, -32_600],
  ['{"jsonrpc":"2.0","id":null,"method":"ping"}', null, -32_600],
  ['{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}', null, -32_600],
  ['{"jsonrpc":"2.0","id":1.5,"method":"ping"}', null, -32_600],
  [`{${asked},"params":[]}`, 7, -32_600],
  [`{${asked},"params":null}`, 7, -32_600],
])('%j is answered', (line, id, code) => {
  expect(look(line)).toMatchObject({ id, code });
});
