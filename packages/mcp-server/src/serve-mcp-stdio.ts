import type { Readable, Writable } from 'node:stream';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import { silentLogger } from '@opencode-tools/core';
import { type McpServerOptions, createMcpServer } from './create-mcp-server.ts';

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
  const transport = new WatchedTransport(stdin, stdout);
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

/** Closes itself at the end of input and when output breaks; says so. */
class WatchedTransport extends StdioServerTransport {
  readonly #closed = Promise.withResolvers<void>();

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  override async close(): Promise<void> {
    await super.close();
    this.#closed.resolve();
  }
}
