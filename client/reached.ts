/** Whether somebody listens at an address: what `doctor` can tell of a server without logging in. */
import { connect } from 'node:net';
import { messageOf, no, yes, type Finding } from './finding';
import { plural } from './format';

const answerMsMax = 5000;

interface Place {
  /** As people write it. */
  readonly at: string;
  readonly host: string;
  readonly port: number;
}

export async function reached(check: string, { at, host, port }: Place, fix: string): Promise<Finding> {
  try {
    // In an address IPv6 stands in brackets; a socket wants it without.
    await connected(host.replace(/^\[|\]$/g, ''), port);
    return yes(check, `${at} answers`);
  } catch (error) {
    return no(check, `${at}: ${messageOf(error)}`, fix);
  }
}

/** A PostgreSQL server. Nothing for one behind a socket, whose folder is a parameter of the address. */
export async function postgresReached(url: string, fix: string): Promise<readonly Finding[]> {
  const address = new URL(url);
  return address.hostname === '' ? [] : [await reached('database', placeOf(address, '5432'), fix)];
}

/** Where an address leads, by its protocol's port if it names none. */
export function placeOf({ hostname, port }: URL, usualPort: string): Place {
  const found = port || usualPort;
  return { at: `${hostname}:${found}`, host: hostname, port: Number(found) };
}

function connected(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: answerMsMax });
    const late = new Error(`no answer within ${plural(answerMsMax / 1000, 'second')}`);
    socket.once('timeout', () => socket.destroy(late));
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}
