import { connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { collectOften } from './collect-often.ts';
import { Gateway, type Told } from './gateway.ts';

const usualDirectory = '/egress';
/** On the gateway's own loopback, which no sandbox has a way to. */
const control = { host: '127.0.0.1', port: 9_180 };

/**
 * The process of the gateway's container, whose argument may be another directory than the usual one; with the argument `tell` it hands
 * what it reads over to the one that runs.
 */
const [, , argument = usualDirectory] = process.argv;
if (argument === 'tell') tell();
else serve(argument);

function serve(directory: string): void {
  const gateway = new Gateway(directory);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    void text(socket)
      .then((told) => socket.end(`taken${answer(gateway, JSON.parse(told) as Told)}`))
      .catch(() => socket.destroy());
  });
  server.listen(control);
  void gateway.run();
  const { gc } = globalThis;
  if (gc !== undefined) collectOften(() => gc());
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0));
}

function answer(gateway: Gateway, told: Told): string {
  if ('ask' in told) return JSON.stringify(gateway.valuesOf(told.ask));
  gateway.takeSecrets(told.take);
  return '';
}

function tell(): void {
  const socket = connect({ ...control, allowHalfOpen: true });
  socket.on('error', () => process.exit(1));
  process.stdin.pipe(socket);
  socket.on('data', (chunk) => process.stdout.write(chunk));
  socket.on('close', () => process.exit(0));
}
