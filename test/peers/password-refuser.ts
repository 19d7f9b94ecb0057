/** A PostgreSQL server's first words: it asks for the password, and refuses it, whatever it is. */
import { createServer, type AddressInfo, type Socket } from 'node:net';

export interface PasswordRefuser {
  readonly port: number;
  /** As clients said them. */
  readonly passwords: string[];
  stop(): Promise<void>;
}

/** AuthenticationCleartextPassword. */
const askForPassword = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]);
/** The startup message has no type; every other one has it in its first byte. */
const passwordMessage = 0x70;

export async function startPasswordRefuser(): Promise<PasswordRefuser> {
  const passwords: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    socket.on('data', (message) => {
      if (message[0] !== passwordMessage) return void socket.write(askForPassword);
      passwords.push(message.subarray(5, -1).toString());
      socket.end(refusal('28P01', 'password authentication failed for user "postgres"'));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    passwords,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** ErrorResponse. */
function refusal(code: string, message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}
