import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { followEvents } from '@opencode-tools/core';
import { expect, it } from 'vitest';
import { createEnginelessHome } from './support/home-without-engine.ts';

const writer = fileURLToPath(new URL('support/note-writer.ts', import.meta.url));

it('a consumer sees everything that other processes write, in order, also over a restart of its own', async () => {
  const home = await createEnginelessHome();
  try {
    const task = await home.create();
    const children = ['one', 'two'].map((name) =>
      fork(writer, [home.open.directory, task.id, name, '20'], { execArgv: ['--conditions=@opencode-tools/source'] }),
    );
    const exits = Promise.all(children.map((child) => once(child, 'exit')));
    const handled: number[] = [];
    const notes = new Set<number>();
    let cursor: string | null = null;
    for (const stopAt of [15, 40]) {
      const end = new AbortController();
      const options = { after: cursor, streams: [task.id], signal: end.signal, pollMs: 50 };
      await followEvents(home.open.ledger, { ...options, onCursor: (at) => void (cursor = at) }, ({ seq, type }) => {
        handled.push(seq);
        if (type === 'note.added') notes.add(seq);
        if (notes.size >= stopAt) end.abort();
      });
    }
    expect(await exits).toEqual([
      [0, null],
      [0, null],
    ]);
    const written = await home.open.services.ledger.history(task.id, { types: ['note.added'], limit: 1_000 });
    expect([...notes].toSorted((a, b) => a - b)).toEqual(written.map(({ seq }) => seq).toSorted((a, b) => a - b));
    const again = handled.findIndex((seq, index) => index > 0 && seq <= (handled[index - 1] ?? 0));
    const restart = again === -1 ? handled.length : again;
    for (const run of [handled.slice(0, restart), handled.slice(restart)])
      expect(run).toEqual(run.map((_, index) => (run[0] ?? 0) + index));
  } finally {
    await home.remove();
  }
});
