import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { until } from '@opencode-tools/testkit';
import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Ticket, TurnFile } from './turn-file.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'oct-turns-'));
  file = path.join(directory, 'line');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function ticketFrom(line: TurnFile): Ticket {
  const ticket = line.take();
  if (ticket === null) throw new Error('No ticket');
  return ticket;
}

test('is empty before anybody comes', () => {
  const line = new TurnFile(file);
  expect(line.someoneWaits()).toBe(false);
  line.close();
});

test('counts who is before each, whatever order they leave in', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 9 }), { maxLength: 30 }), (leaving) => {
      const lines = Array.from({ length: 3 }, () => new TurnFile(file));
      const waiting = Array.from({ length: 10 }, (_, index) => {
        const line = lines[index % 3] as TurnFile;
        return { line, ticket: ticketFrom(line) };
      });
      for (const choice of leaving) {
        const [gone] = waiting.splice(choice % Math.max(1, waiting.length), 1);
        if (gone !== undefined) gone.line.leave(gone.ticket);
        expect(waiting.map(({ line, ticket }) => line.look(ticket))).toEqual(waiting.map((_, index) => index));
        expect(lines.map((line) => line.someoneWaits())).toEqual(lines.map(() => waiting.length > 0));
      }
      for (const { line, ticket } of waiting) line.leave(ticket);
      for (const line of lines) line.close();
    }),
    { numRuns: 30 },
  );
});

test('passes over who does not look any more, who then has lost the place', async () => {
  const [mine, other] = [new TurnFile(file), new TurnFile(file)];
  const silent = ticketFrom(other);
  const ticket = ticketFrom(mine);
  expect(mine.look(ticket)).toBe(1);
  await until(() => mine.look(ticket) === 0);
  expect(other.look(silent)).toBeNull();
  mine.close();
  other.close();
});

test('keeps the next waiting while a slice lasts, and no longer', async () => {
  const [mine, other] = [new TurnFile(file), new TurnFile(file)];
  const held = ticketFrom(other);
  const ticket = ticketFrom(mine);
  other.hold(held, 60);
  expect(mine.look(ticket)).toBe(1);
  await until(() => mine.look(ticket) === 0);
  mine.close();
  other.close();
});

test('tells the length of the turn before, once it is left', () => {
  const [mine, other] = [new TurnFile(file), new TurnFile(file)];
  const held = ticketFrom(other);
  const ticket = ticketFrom(mine);
  other.hold(held, 1_000, 6.25);
  expect(mine.turnBefore(ticket)).toBeNull();
  other.leave(held);
  expect(mine.turnBefore(ticket)?.length).toBe(6.25);
  const next = ticketFrom(other);
  mine.leave(ticket);
  expect(other.turnBefore(next)?.length).toBeNull();
  mine.close();
  other.close();
});

test('does not grow for ever', () => {
  const line = new TurnFile(file);
  for (let count = 0; count < 10_000; count += 1) line.leave(ticketFrom(line));
  expect(statSync(file).size).toBeLessThan(300 * 1024);
  line.close();
});

test('a line that cannot be kept lets everyone through', () => {
  const line = new TurnFile(path.join(directory, 'missing', 'line'));
  expect(line.take()).toBeNull();
  expect(line.someoneWaits()).toBe(false);
  line.close();
});
