import { expect, test } from 'vitest';
import { mergeFields } from './merge-fields.ts';

const base = { state: 'open', text: 'one', major: false };

test.each([
  ['nobody else changed anything', base, { text: 'two' }, [], []],
  ['the other changed another field', { ...base, state: 'done' }, { text: 'two' }, [], ['state']],
  ['both changed a field to different values', { ...base, text: 'three' }, { text: 'two' }, ['text'], []],
  ['both changed a field to one value', { ...base, text: 'two' }, { text: 'two' }, [], []],
  ['a field is left open by the change', { ...base, text: 'three' }, { text: undefined, major: true }, [], ['text']],
])('when %s', (_, current, change, conflicting, kept) => {
  expect(mergeFields(base, current, change as never)).toEqual({ conflicting, kept });
});
