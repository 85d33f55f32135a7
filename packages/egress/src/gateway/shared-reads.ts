import type { Agent } from 'node:http';

/** Large enough for what the kernel has at hand, at most. */
const memory = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * Makes the connections of an agent read into one memory, all of them into the same, in place of a new one per read that only the
 * collector gives back. What an answer consists of is copied out of it by Node's parser before the next read. Bytes that come while
 * no request waits for them end the connection: the next request does not take them for its answer.
 */
export function readIntoSharedMemory(agent: Agent): void {
  const usual = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback) => {
    const onread = {
      buffer: memory,
      callback: (count: number): boolean => {
        if (socket?.emit('data', memory.subarray(0, count)) === false) socket.destroy();
        return true;
      },
    };
    const reading = { ...options, onread };
    const socket = usual(reading, callback);
    return socket;
  };
}
