/** Which answer a path gets. The routes, their order of refusals and their words are the original sender's. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { empty, json, Refusal, send, text, writeHead } from './answer';
import type { Answer } from './answer';
import type { Encoding } from './encode';
import { parseSegmentsQuery, QueryRefused } from './query';
import { planSegments } from './segments';
import { describeShow, findShow, listShows, messageOf, openForRequest } from './shows';

/** What the routes need to know of the feed. */
export interface Feed {
  readonly dir: string;
  readonly encoding: Encoding;
  readonly limitMax: number;
  readonly log: { warn(fields: object, message: string): void };
}

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** As received: neither decoded nor normalised. */
  readonly path: string;
  readonly query: string;
}

/** To a browser's question whether it may ask: it may. */
export const preflight: Answer = empty(200, [
  ['access-control-allow-methods', '*'],
  ['access-control-allow-headers', '*'],
]);

/** Resolves when the answer is out; rejects with what `refusalOf` turns into one, or because the client has gone. */
export async function answerRoute(feed: Feed, exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  const route = routeOf(exchange.path);
  if (route === null) return send(response, empty(404));
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return send(response, empty(405, [['allow', 'GET,HEAD']]));
  }
  switch (route.kind) {
    case 'health':
      return send(response, text(200, 'OK'));
    case 'shows':
      return send(response, showsAnswer(feed));
    case 'metadata':
      return send(response, metadataAnswer(feed, route.show));
    case 'segments':
      return answerSegments(feed, route.show, exchange);
  }
}

export function refusalOf(error: unknown): Answer {
  if (error instanceof QueryRefused) return text(400, error.message);
  return json(error instanceof Refusal ? error.status : 500, { error: messageOf(error) });
}

type Route = { kind: 'health' | 'shows' } | { kind: 'metadata' | 'segments'; show: string };

function routeOf(path: string): Route | null {
  if (path === '/health') return { kind: 'health' };
  if (path === '/api/sync/shows') return { kind: 'shows' };
  const [, show, kind] = /^\/api\/sync\/shows\/([^/]+)\/(metadata|segments)$/.exec(path) ?? [];
  return show === undefined ? null : { kind: kind as 'metadata' | 'segments', show: percentDecode(show) };
}

/** As the original decodes: what is no escape stays as it is, so that no path is an error. */
function percentDecode(part: string): string {
  const bytes = part.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function showsAnswer(feed: Feed): Answer {
  const leftOut = (file: string, reason: string) => feed.log.warn({ file, reason }, 'show left out of the list');
  return json(200, { shows: listShows(feed.dir, leftOut) });
}

function metadataAnswer(feed: Feed, name: string): Answer {
  const show = openForRequest(findShow(feed.dir, name));
  try {
    return json(200, describeShow(show));
  } finally {
    show.database.close();
  }
}

/** The connection, and with it the snapshot, lives exactly as long as the answer. */
async function answerSegments(feed: Feed, name: string, { request, response, query }: Exchange): Promise<void> {
  const asked = parseSegmentsQuery(query);
  const { database } = openForRequest(findShow(feed.dir, name));
  try {
    const answer = planSegments(database, asked, feed);
    writeHead(response, { status: 200, contentType: 'application/json', length: answer.length });
    if (request.method === 'HEAD') response.end();
    else await pipeline(answer.pages(), response);
  } finally {
    database.close();
  }
}
