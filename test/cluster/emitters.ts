/**
 * Emitters that are no servers of the cluster.
 */
import { Emitter } from "@socket.io/redis-emitter"
import { createClient } from "redis"

import type { Selection } from "./control.ts"
import type { ExternalEmitter } from "./operations.ts"

/** The official emitter of the classic adapter. */
export const officialEmitter = async (
  url: string
): Promise<ExternalEmitter & { readonly close: () => Promise<void> }> => {
  const client = await createClient({ url }).connect()
  const emitter = new Emitter(client)
  const select = ({ except = [], to = [], volatile }: Selection): any => {
    let target: any = emitter
    if (to.length > 0) target = target.to(to)
    if (except.length > 0) target = target.except(except)
    return volatile ? target.volatile : target
  }
  return {
    emit: (to, event, ...args) => select(to).emit(event, ...args),
    socketsJoin: (to, rooms) => select(to).socketsJoin(rooms),
    socketsLeave: (to, rooms) => select(to).socketsLeave(rooms),
    disconnectSockets: (to, close) => select(to).disconnectSockets(close),
    serverSideEmit: (event, ...args) => emitter.serverSideEmit(event, ...args),
    close: () => client.close()
  }
}
