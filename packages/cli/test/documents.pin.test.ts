import { expect, test } from 'vitest';
import { commandGroups, commandTable } from '../src/command-table.ts';
import { cliReference, errorFamiliesReference, errorPages } from '../scripts/reference.ts';

test('the help page of every command is the one in docs/reference/cli.md', async () => {
  await expect(await cliReference()).toMatchFileSnapshot('../../../docs/reference/cli.md');
});

test('docs/errors.md and docs/reference/errors.md follow the error catalogue', async () => {
  await expect(errorPages()).toMatchFileSnapshot('../../../docs/errors.md');
  await expect(errorFamiliesReference()).toMatchFileSnapshot('../../../docs/reference/errors.md');
});

test('every verb of two words belongs to a group that is described', () => {
  const groups = new Set(
    commandTable.map(({ name }) => name.split(' ')).flatMap(([group, verb]) => (verb ? [group] : [])),
  );
  expect([...groups].toSorted()).toEqual(Object.keys(commandGroups).toSorted());
});
