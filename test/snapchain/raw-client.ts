/** A gRPC client that knows no schema: bytes in, bytes out, errors as code and text. */
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';

export interface RawClient {
  /** The answer's bytes; rejects with grpc-js's error, which has `code` and `details`. */
  call(method: string, request?: Buffer, deadlineMs?: number): Promise<Buffer>;
  /** Collects a stream's messages into `messages` until it ends or is closed. */
  stream(method: string, request: Buffer): RawStream;
  close(): void;
}

export interface RawStream {
  readonly messages: Buffer[];
  /** Resolves once there are so many. */
  count(wanted: number): Promise<Buffer[]>;
  /** Why it ended. */
  readonly ended: Promise<{ code: number; details: string }>;
  pause(): void;
  resume(): void;
  close(): void;
}

const messageBytesMax = 64 * 1024 * 1024;
const asIs = (bytes: Buffer): Buffer => bytes;

export function rawClient(address: string, bytesMax = messageBytesMax): RawClient {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': bytesMax,
    // Its own connection: another client's backoff is none of its business.
    'grpc.use_local_subchannel_pool': 1,
  });
  return {
    call: (method, request = Buffer.alloc(0), deadlineMs = 10_000) =>
      new Promise((resolve, reject) => {
        const options = { deadline: Date.now() + deadlineMs };
        client.makeUnaryRequest(`/${method}`, asIs, asIs, request, options, (error: ServiceError | null, answer) =>
          error || !answer ? reject(error ?? new Error(`${method}: no answer and no error`)) : resolve(answer),
        );
      }),
    stream: (method, request) => {
      const messages: Buffer[] = [];
      const waiting: { wanted: number; resolve: (all: Buffer[]) => void }[] = [];
      const stream = client.makeServerStreamRequest(`/${method}`, asIs, asIs, request);
      stream.on('data', (message: Buffer) => {
        messages.push(message);
        for (const each of waiting) if (messages.length >= each.wanted) each.resolve(messages);
      });
      const ended = new Promise<{ code: number; details: string }>((resolve) => {
        stream.on('error', (error: ServiceError) => resolve({ code: error.code, details: error.details }));
        stream.on('end', () => resolve({ code: 0, details: '' }));
      });
      return {
        messages,
        ended,
        count: (wanted) =>
          new Promise((resolve) => (messages.length >= wanted ? resolve(messages) : waiting.push({ wanted, resolve }))),
        pause: () => stream.pause(),
        resume: () => stream.resume(),
        close: () => stream.cancel(),
      };
    },
    close: () => client.close(),
  };
}
