/*
 * node --conditions=@opencode-tools/source bench/events.mjs [--rounds 15] [--json]
 *
 * Events per second from publishing to the handler: Node's EventEmitter, which calls its listeners on the spot and stops at
 * the first that throws, beside the event bus, which keeps the order of each task, isolates its handlers and waits for those
 * that answer later. A task's records are published as a change commits them, three at a time.
 */
import { EventEmitter } from 'node:events';
import { createEventBus } from '@opencode-tools/core';
import { benchOptions, interleave, report, summarise } from './lib/measure.mjs';

const { json, rounds } = benchOptions(15);
const events = 900_000;
const perChange = 3;
const types = ['execution.requested', 'execution.completed', 'task.suspended'];
const contestants = {
  'EventEmitter, 1 listener': () => emitted(1),
  'event bus, 1 handler, 1 task': () => published(1, () => undefined),
  'event bus, 1 handler, 100 tasks': () => published(100, () => undefined),
  'event bus, 1 handler that answers later, 100 tasks': () => published(100, async () => undefined),
};

const samples = await interleave(contestants, rounds);
const rows = summarise(samples, 'EventEmitter, 1 listener').map(({ name, medianMs, ratio }) => ({
  name,
  'events/s': Math.round(events / (medianMs / 1000)),
  'of EventEmitter': Number((1 / ratio).toFixed(3)),
}));
report(`${events} events, ${rounds} rounds in turn`, rows, { json });

function emitted() {
  const emitter = new EventEmitter();
  let seen = 0;
  emitter.on('record', () => (seen += 1));
  const from = performance.now();
  for (const change of changesOf(1)) for (const record of change) emitter.emit('record', record);
  return checked(performance.now() - from, seen);
}

async function published(tasks, handler) {
  const bus = createEventBus({
    ledger: { read: async () => [] },
    logger: console,
    onDeadLetter: async () => undefined,
  });
  let seen = 0;
  bus.subscribe({ pattern: ['execution.*', 'task.*'], maxPending: events }, (record) => {
    seen += 1;
    return handler(record);
  });
  const from = performance.now();
  let changes = 0;
  for (const change of changesOf(tasks)) {
    bus.publish(change);
    changes += 1;
    if (changes % 300 === 0) await bus.drain();
  }
  await bus.drain();
  return checked(performance.now() - from, seen);
}

/** The same few records again and again with new numbers, so that what is timed is delivery and not memory. */
function* changesOf(tasks) {
  const changes = Array.from({ length: tasks }, (_, task) =>
    types.map((type) => ({ stream: `tsk_${task}`, seq: 0, type })),
  );
  let seq = 0;
  for (let index = 0; index < events / perChange; index += 1) {
    const change = changes[index % tasks];
    if (index % tasks === 0) seq += perChange;
    for (let place = 0; place < perChange; place += 1) change[place].seq = seq - perChange + 1 + place;
    yield change;
  }
}

function checked(ms, seen) {
  if (seen !== events) throw new Error(`${seen} of ${events} events arrived`);
  return ms;
}
