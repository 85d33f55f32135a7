import { type ErrorCode, describeError, errorCatalogue } from '@opencode-tools/core';
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

test('the commands that remedies of the error catalogue name are there, with what they need', () => {
  const named = (Object.keys(errorCatalogue) as ErrorCode[]).flatMap((code) =>
    [...describeError(code).remedy.matchAll(/`opencode-tools ([^`]+)`/gu)].map(([, line = '']) => line),
  );
  expect(named).not.toEqual([]);
  const broken = named.filter((line) => {
    const command = commandTable.find(({ name }) => line === name || line.startsWith(`${name} `));
    const words = line.slice(command?.name.length).split(' ').filter(Boolean);
    const given = words.filter((word) => !word.startsWith('--'));
    const needed = (command?.parameters ?? []).filter(({ optional }) => optional !== true);
    return command === undefined || given.length < needed.length;
  });
  expect(broken).toEqual([]);
});

test('every verb of two words belongs to a group that is described', () => {
  const groups = new Set(
    commandTable.map(({ name }) => name.split(' ')).flatMap(([group, verb]) => (verb ? [group] : [])),
  );
  expect([...groups].toSorted()).toEqual(Object.keys(commandGroups).toSorted());
});
