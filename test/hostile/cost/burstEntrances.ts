/**
 * The entrances of clients that send a burst on a connection of its own, and end it at once.
 */
import { frame, Opcode, text } from "../../bench/load/frames.ts"
import { sleep } from "../../bench/roles.ts"
import { type Entrance, OPENS } from "./entrance.ts"
import { type Attack, closed, EIO4, Line, openWebSocket, TEXT, times } from "./traffic.ts"

/**
 * A WebSocket that sends a burst and ends, politely or not, and then the next one: it waits for neither
 * an answer nor the end.
 */
const bursts =
  (burst: Buffer, isReset = false): Attack =>
  async (target) => {
    while (!target.isOver) {
      const socket = await openWebSocket(target, EIO4, ["40"], /"sid":/g, 2)
      if (socket === undefined) {
        await sleep(1)
        continue
      }
      const given = new Promise<void>((resolve) =>
        isReset ? socket.write(burst, () => resolve()) : socket.end(burst, resolve)
      )
      await Promise.race([closed(socket), given])
      if (isReset) socket.resetAndDestroy()
    }
  }

/** The same over polling: a session that posts a burst. Its connections are closed at once. */
const postedBursts =
  (burst: string): Attack =>
  async (target) => {
    const line = new Line(target)
    while (!target.isOver) {
      if (!(await line.ask(["GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"]))) return
      const sid = /"sid":"([\w-]+)"/.exec(line.lastBody)?.[1]
      target.lives++
      const head = `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: a\r\n${TEXT}Content-Length: `
      await line.ask([`${head}2\r\n\r\n40`])
      const socket = target.connect().resume()
      await Promise.race([
        closed(socket),
        new Promise<void>((resolve) => socket.end(`${head}${burst.length}\r\n\r\n${burst}`, resolve))
      ])
    }
  }

const EVENT = '42["take"]'

/** As many small events as one read takes. */
const BURST = Buffer.concat(Array.from({ length: 4_300 }, () => text(EVENT)))

const POSTED = Array(4_000).fill(EVENT).join("\u001e")

export const burstEntrances: ReadonlyArray<Entrance> = [
  {
    name: "WebSocket: a burst of events, and a close frame",
    transport: "websocket",
    attack: times(4, bursts(Buffer.concat([BURST, frame(Opcode.close, "")]))),
    ...OPENS
  },
  {
    name: "WebSocket: a burst of events, and a reset",
    transport: "websocket",
    attack: times(4, bursts(BURST, true)),
    ...OPENS
  },
  {
    name: "polling: a burst of events, and a close packet",
    transport: "polling",
    attack: times(4, postedBursts(`${POSTED}\u001e1`)),
    ...OPENS
  },
  {
    name: "polling: a burst of events, and the end of its connection",
    transport: "polling",
    attack: times(4, postedBursts(POSTED)),
    ...OPENS
  }
]
