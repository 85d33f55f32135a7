import { type Socket, createSocket } from 'node:dgram';
import { type Server, type Socket as TcpSocket, createServer } from 'node:net';
import { dnsCodes, dnsTypes, isInternet, readQuestion, writeAnswer } from './dns-message.ts';

/** Decides whether a name may be known at all, and logs what it decides. */
export type NameGate = (name: string, type: number) => boolean;

export interface DnsServer {
  readonly ready: Promise<void>;
  close(): void;
}

const longestMessage = 4_096;
const idleMs = 5_000;

/**
 * Answers for allowed names with the gateway's own address and asks nobody: a name never leaves the sandbox as a query, so
 * that nothing can be carried out in names. The real address is looked up when a connection is allowed, and connected to.
 */
export function startDnsServer(address: string, port: number, allows: NameGate): DnsServer {
  const answer = (message: Buffer): Buffer | undefined => answerTo(message, address, allows);
  const udp = createSocket('udp4');
  const tcp = createServer((socket) => serveTcp(socket, answer));
  udp.on('message', (message, from) => {
    const reply = answer(message);
    if (reply !== undefined) udp.send(reply, from.port, from.address, () => undefined);
  });
  const ready = Promise.all([bound(udp, address, port), listening(tcp, address, port)]).then(() => undefined);
  return {
    ready,
    close: () => {
      udp.close();
      tcp.close();
    },
  };
}

function answerTo(message: Buffer, address: string, allows: NameGate): Buffer | undefined {
  const question = readQuestion(message);
  if (question === undefined) return undefined;
  if (!allows(question.name, question.type) || !isInternet(question))
    return writeAnswer(question, isInternet(question) ? dnsCodes.noSuchName : dnsCodes.refused);
  return writeAnswer(question, dnsCodes.ok, question.type === dnsTypes.a ? address : undefined);
}

function serveTcp(socket: TcpSocket, answer: (message: Buffer) => Buffer | undefined): void {
  let held = Buffer.alloc(0);
  socket.setTimeout(idleMs, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    held = Buffer.concat([held, chunk]);
    for (let length = sizeOf(held); length !== undefined; length = sizeOf(held)) {
      const reply = length > longestMessage ? undefined : answer(held.subarray(2, 2 + length));
      held = held.subarray(2 + length);
      if (reply === undefined) {
        socket.destroy();
        break;
      }
      const size = Buffer.alloc(2);
      size.writeUInt16BE(reply.length, 0);
      socket.write(Buffer.concat([size, reply]));
    }
  });
}

/** Size of the message at the start, once all of it is here or it is too long to wait for. */
function sizeOf(held: Buffer): number | undefined {
  const length = held.length < 2 ? undefined : held.readUInt16BE(0);
  return length !== undefined && (length > longestMessage || held.length >= 2 + length) ? length : undefined;
}

async function bound(socket: Socket, address: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, address, () => {
      socket.off('error', reject);
      socket.on('error', () => undefined);
      resolve();
    });
  });
}

export async function listening(server: Server, address: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.off('error', reject);
      server.on('error', () => undefined);
      resolve();
    });
  });
}
