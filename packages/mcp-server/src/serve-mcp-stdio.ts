import type { Readable, Transform, Writable } from 'node:stream';
import type { JSONRPCMessage } from '@modelcontextprotocol/server';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import { type Logger, silentLogger } from '@opencode-tools/core';
import { type McpServerOptions, createMcpServer } from './create-mcp-server.ts';
import { type LongLine, limitLines } from './limit-lines.ts';
import { unreadable } from './unreadable.ts';

const longestMessageBytes = 10 * 1024 ** 2;
const invalidRequest = -32_600;

export interface ServeMcpStdioOptions extends McpServerOptions {
  readonly stdin: Readable;
  /** Carries MCP messages; whatever else the process prints must go elsewhere. */
  readonly stdout: Writable;
}

export interface McpConnection {
  /** Settles when the client is gone or `close` was called, and the home is closed. */
  readonly closed: Promise<void>;
  /** Aborts what is under way and closes. Idempotent. */
  close(): Promise<void>;
}

/**
 * Serves one client over two streams, in the protocol of 2025 (`initialize`) or 2026 (per-request envelope), whichever the
 * client speaks. Ends at the end of input, as a client that closes its side asks for.
 */
export function serveMcpStdio(options: ServeMcpStdioOptions): McpConnection {
  const { stdin, stdout, logger = silentLogger } = options;
  const tools = createMcpServer(options);
  const transport = new WatchedTransport(stdin, stdout, logger);
  const handle = serveStdio(() => tools.createServer(), {
    transport,
    onerror: (error) => logger.warn('The connection reported a fault', { message: error.message }),
  });
  const closed = transport.closed.then(() => tools.close());
  return {
    closed,
    async close() {
      await handle.close();
      await closed;
    },
  };
}

/** Closes itself at the end of input and when output breaks; says so. Answers what is too long, or no message, instead of ending. */
class WatchedTransport extends StdioServerTransport {
  readonly #closed = Promise.withResolvers<void>();
  readonly #stdin: Readable;
  readonly #lines: Transform;

  constructor(stdin: Readable, stdout: Writable, logger: Logger) {
    const lines = limitLines(
      longestMessageBytes,
      (line) => {
        logger.warn('A message was too long and was not read', { bytes: line.bytes });
        this.#refuse(line);
      },
      (line) => {
        const fault = unreadable(line);
        if (fault === undefined) return true;
        logger.warn('A line was no message and was not read', { code: fault.code });
        const { id, code, message } = fault;
        this.#answer(id, { code, message });
        return false;
      },
    );
    super(lines, stdout, { maxBufferSize: 2 * longestMessageBytes });
    this.#stdin = stdin;
    this.#lines = lines;
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  override async start(): Promise<void> {
    await super.start();
    const gone = () => void this.close();
    this.#stdin.once('error', gone).once('close', gone);
    if (this.#stdin.readableEnded || this.#stdin.destroyed) this.#lines.end();
    else this.#stdin.pipe(this.#lines);
  }

  override async close(): Promise<void> {
    this.#stdin.unpipe(this.#lines);
    this.#stdin.pause();
    await super.close();
    this.#closed.resolve();
  }

  #refuse({ id, bytes }: LongLine): void {
    const message = `The message has ${bytes} bytes; at most ${longestMessageBytes} are read. Pass large content in several calls, or as a file of the workspace.`;
    this.#answer(id, { code: invalidRequest, message, data: { bytes, maxBytes: longestMessageBytes } });
  }

  #answer(id: string | number | null, error: object): void {
    // JSON-RPC answers what it cannot read under the id null, which the SDK's type leaves out.
    const answer = { jsonrpc: '2.0', id, error } as unknown as JSONRPCMessage;
    this.send(answer).catch(() => undefined);
  }
}
