/*
 * node --conditions=@opencode-tools/source examples/embed-core/events.mjs
 *
 * Hears of what happens in a home: in the process itself as it happens, and from another process by a cursor.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { followEvents } from '@opencode-tools/core';
import { openHome } from '@opencode-tools/toolkit';

const actor = { kind: 'agent', id: 'embedder', agent: 'embedder', model: null, session: null, onBehalfOf: null };
const call = { actor };
const [, , role, directory, taskId] = process.argv;
if (role === 'writer') await write();
else await listen();

async function listen() {
  const place = await mkdtemp(join(tmpdir(), 'opencode-tools-events-'));
  const home = await openHome({ home: place, cwd: process.cwd(), environment: process.env });
  const { tasks, journal } = home.services;
  const task = await tasks.create({ title: 'Listen' }, call);
  try {
    // Around every delivery, whichever handler it goes to.
    let tries = 0;
    home.events.use(async (delivery, next) => {
      tries += 1;
      await next();
    });

    // The events of one task come in order, one at a time, however long the handler takes.
    const heard = [];
    home.events.subscribe({ pattern: ['note.*', 'todo.*'], stream: task.id }, async (event) => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      heard.push(event.type);
    });
    // A handler that fails is asked again, and holds up nobody else. What it does not take is recorded.
    const policy = { pattern: 'decision.recorded', name: 'mail', attempts: 3, backoffMs: 10 };
    home.events.subscribe(policy, async () => {
      throw new Error('the mail server is down');
    });

    const cursor = await home.ledger.endCursor();
    await journal.addNote(task.id, { text: 'first' }, call);
    await journal.decide(task.id, { what: 'Use SQLite' }, call);
    await journal.addTodo(task.id, { text: 'second' }, call);
    await home.events.drain();
    assert.deepEqual(heard, ['note.added', 'todo.added']);
    assert.equal(tries, 2 + 3);
    console.log(`heard ${heard.join(', ')} in ${tries} tries`);
    const [letter] = await home.ledger.read('home', { types: ['event.dead_lettered'] });
    const { subscription, type, attempts, message } = JSON.parse(letter.payload).detail;
    console.log(`${subscription} did not take ${type} in ${attempts} tries: ${message}`);

    // What any process writes, from a cursor that is kept wherever the results are kept.
    const writer = fork(fileURLToPath(import.meta.url), ['writer', place, task.id], { execArgv: process.execArgv });
    const [code] = await once(writer, 'exit');
    assert.equal(code, 0);
    const end = new AbortController();
    const followed = [];
    const options = { after: cursor, streams: [task.id], signal: end.signal };
    await followEvents(home.ledger, options, ({ type: of, actor: by }) => {
      if (/^(note|todo|decision)\./.test(of)) followed.push(`${of} by ${by.id}`);
      if (of === 'note.added' && by.id === 'other') end.abort();
    });
    assert.equal(followed.length, 4);
    console.log(followed.join('\n'));
  } finally {
    await tasks.delete(task.id, { force: true }, call);
    await home.close();
    await rm(place, { recursive: true, force: true });
  }
}

async function write() {
  const home = await openHome({ home: directory, cwd: process.cwd(), environment: process.env });
  await home.services.journal.addNote(taskId, { text: 'third' }, { actor: { ...actor, id: 'other' } });
  await home.close();
}
