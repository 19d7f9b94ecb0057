/** Is a server ready to serve? Each asks in the server's own protocol, since an open port only says that it is alive. */
import { existsSync, readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect, createServer } from 'node:net';

const answerSeconds = 2;

/** True when something listens there. */
export const accepts = (port, host = '127.0.0.1') => converse({ host, port, until: null });

/** Redis: PING must give PONG (not LOADING). */
export const redisAnswers = (port) => converse({ port, say: 'PING\r\n', until: /^\+PONG/ });

/** MySQL greets first: a packet of protocol version 10, or an error packet while it is not up to it. */
export const mysqlGreets = (port) => converse({ port, until: /^[\s\S]{4}\n/ });

function converse({ host = '127.0.0.1', port, say, until }) {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(answerSeconds * 1000, () => end(false));
    socket.once('error', () => end(false));
    socket.once('connect', () => (until === null ? end(true) : say && socket.write(say)));
    socket.once('data', (data) => end(until.test(data.toString('latin1'))));
  });
}

/** PostgreSQL writes into its pid file when recovery is over and connections are let in. */
export function postgresIsReady(dataDirectory) {
  const file = `${dataDirectory}/postmaster.pid`;
  return existsSync(file) && readFileSync(file, 'utf8').split('\n')[7]?.trim() === 'ready';
}

/** An HTTP server that answers `path` with 200. */
export async function httpAnswers(port, path) {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      signal: AbortSignal.timeout(answerSeconds * 1000),
    });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}

const healthService = 'temporal.api.workflowservice.v1.WorkflowService';

/** Temporal's own health check, one gRPC call written by hand: this runs before there is a library to do it. */
export function temporalServes(port) {
  const name = Buffer.from(healthService);
  // A gRPC frame (no compression, length) around the protobuf field 1: the service's name.
  const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, name.length + 2, 0x0a, name.length]), name]);
  return new Promise((resolve) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const end = (answer) => {
      session.destroy();
      resolve(answer);
    };
    session.setTimeout(answerSeconds * 1000, () => end(false));
    session.once('error', () => end(false));
    const call = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    call.once('error', () => end(false));
    // The answer's field 1 is 1 for SERVING.
    call.once('data', (data) => end(data.length >= 7 && data[5] === 0x08 && data[6] === 1));
    call.once('end', () => end(false));
    call.end(frame);
  });
}

// Below what Linux and macOS hand out to outgoing connections: nobody takes one between our look and the server's bind.
const portMin = 20_000;
const portMax = 32_000;
const taken = new Set();

/** A port that is free now, and whose `+ offset` is free too when a server derives a second one from the first. */
export async function freePort(offset = 0) {
  for (let tries = 0; tries < 500; tries += 1) {
    const port = portMin + Math.floor(Math.random() * (portMax - offset - portMin));
    const both = offset === 0 ? [port] : [port, port + offset];
    if (both.some((one) => taken.has(one))) continue;
    both.forEach((one) => taken.add(one));
    if ((await Promise.all(both.map(isFree))).every(Boolean)) return port;
  }
  throw new Error(`No free port on 127.0.0.1 between ${portMin} and ${portMax}, in 500 tries.`);
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
