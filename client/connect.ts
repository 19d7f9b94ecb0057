/** The way to Temporal, by the same profiles and TEMPORAL_* variables as its own command. */
import { Client, Connection, isGrpcServiceError } from '@temporalio/client';
import { connectionSettings } from '../workers/config';
import { CommandError, exit } from './exit';
import type { Call } from './verb';

export interface Temporal {
  readonly client: Client;
  readonly address: string;
  readonly namespace: string;
  close(): Promise<void>;
}

/** Longer than any server that is there takes to answer; short enough to wait for at a prompt. */
const connectTimeoutMs = 3000;

/** Throws CommandError `unreachable` when nobody answers in time. */
export async function connect(settings = connectionSettings()): Promise<Temporal> {
  const { address, namespace, connectionOptions } = settings;
  try {
    const connection = await Connection.connect({ ...connectionOptions, connectTimeout: connectTimeoutMs });
    const client = new Client({ connection, namespace });
    return { client, address, namespace, close: () => connection.close() };
  } catch (error) {
    throw unreachable(address, error);
  }
}

/** Connects, does `what`, closes. A connection that breaks meanwhile is `unreachable` too. */
export async function withTemporal<T>(call: Call, what: (temporal: Temporal) => Promise<T>): Promise<T> {
  const temporal = await connect(call.temporal);
  try {
    return await what(temporal);
  } catch (error) {
    throw told(temporal, error);
  } finally {
    await temporal.close();
  }
}

// grpc-js status
const unavailable = 14;
/** INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED: answers, however unwelcome. */
const refusals = [3, 5, 7, 12, 16];

/** The server, or the way to it, is gone; not: it refused. */
export function isUnreachable(error: unknown): boolean {
  return codeOf(error) === unavailable;
}

/** A question that no worker answered: the server waited in vain, holds enough of them, or knows that nobody polls. */
export function isUnanswered(error: unknown): boolean {
  const code = codeOf(error);
  return code !== null && code !== unavailable && !refusals.includes(code);
}

function codeOf(error: unknown): number | null {
  // The SDK's ServiceError carries the transport's error as its cause.
  const cause = error instanceof Error && error.name === 'ServiceError' ? error.cause : error;
  return isGrpcServiceError(cause) ? cause.code : null;
}

/** What the server refused is told without a stack: it is not our defect. */
function told({ address, namespace }: Temporal, error: unknown): unknown {
  if (isUnreachable(error)) return unreachable(address, error);
  if (error instanceof Error && error.name === 'NamespaceNotFoundError') return noNamespace(address, namespace, error);
  if (codeOf(error) === null || !(error instanceof Error)) return error;
  const reason = error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
  return new CommandError(exit.failed, `Temporal at ${address}, namespace ${namespace}: ${reason}`, { cause: error });
}

function noNamespace(address: string, namespace: string, cause: Error): CommandError {
  return new CommandError(
    exit.configuration,
    `Temporal at ${address} has no namespace ${namespace}: correct TEMPORAL_NAMESPACE, or \`temporal operator namespace create -n ${namespace}\``,
    { cause },
  );
}

function unreachable(address: string, error: unknown): CommandError {
  const reason = error instanceof Error ? error.message : String(error);
  return new CommandError(
    exit.unreachable,
    `cannot reach Temporal at ${address}: ${reason}; start one with \`waybill dev\` or set TEMPORAL_ADDRESS`,
    { cause: error },
  );
}
