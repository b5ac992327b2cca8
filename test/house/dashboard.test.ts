/**
 * The dashboard for Grafana: it asks for metrics that are exported, by attributes that they have, and leaves none out.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"

import * as ClusterMetrics from "../../src/adapter/ClusterMetrics.ts"
import * as ClientMetrics from "../../src/client/ClientMetrics.ts"
import * as EngineMetrics from "../../src/engine/EngineMetrics.ts"
import * as NodeSessionRouting from "../../src/node/NodeSessionRouting.ts"
import * as PresenceMetrics from "../../src/presence/PresenceMetrics.ts"
import * as SocketIoRpcServer from "../../src/rpc/SocketIoRpcServer.ts"
import * as ServerMetrics from "../../src/server/ServerMetrics.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as StreamMetrics from "../../src/streams/StreamMetrics.ts"
import { alone } from "../support/metrics.ts"
import { eventually } from "../support/official.ts"
import { request } from "../support/RawClient.ts"
import { call, connect, serve } from "../support/serve.ts"
import { filesBelow, read } from "../support/sources.ts"

interface Target {
  readonly expr: string
  readonly legendFormat: string
}

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: ReadonlyArray<Target>
}

const dashboard = JSON.parse(read("examples/observability/dashboard.json"))
const panels: ReadonlyArray<Panel> = dashboard.panels
const targets = panels.flatMap(({ targets = [] }) => targets)

// Two modules may use one name for metrics of their own.
const modules = [
  EngineMetrics,
  ServerMetrics,
  ClusterMetrics,
  NodeSessionRouting,
  PresenceMetrics,
  ClientMetrics,
  StreamMetrics,
  SocketIoRpcServer
]
const metrics = modules
  .flatMap((module) => Object.values<unknown>(module))
  .filter((value): value is Metric.Metric<number, unknown> => Metric.isMetric(value))

const namesIn = (expr: string): ReadonlyArray<string> =>
  Array.from(expr.matchAll(/socketio_[a-z_]+/g), ([name]) => name)

/** A metric by the name of one of its series: those of a histogram have an ending each. */
const base = (name: string): string => name.replace(/_(bucket|sum|count)$/, "")

const guides = read("examples/guides/observability.md") + read("examples/guides/tracing.md")

/** The attributes of each metric, as the guides tell them. */
const documented = new Map(
  Array.from(guides.matchAll(/^\| (`socketio[^|]*) \|[^|]*\|([^|]*)\|$/gm)).flatMap(([, names, attributes]) => {
    const attributeNames = Array.from(attributes!.matchAll(/`(\w+)`/g), ([, name]) => name!)
    return Array.from(names!.matchAll(/`(\w+)`/g), ([, name]) => [name!, attributeNames] as const)
  })
)

/** The series of an export, with the names of their labels. */
const seriesOf = (text: string): ReadonlyMap<string, ReadonlySet<string>> => {
  const series = new Map<string, ReadonlySet<string>>()
  for (const [, name, labels = ""] of text.matchAll(/^(socketio\w+)(?:\{(.*)\})? /gm)) {
    series.set(
      name!,
      new Set([...(series.get(name!) ?? []), ...Array.from(labels.matchAll(/(\w+)="/g), ([, label]) => label!)])
    )
  }
  return series
}

describe("the dashboard", () => {
  it.effect("asks for nothing but metrics that are exported, and for each of them", () =>
    alone(
      Effect.gen(function* () {
        for (const metric of metrics) yield* Metric.update(metric, 1)
        const exported = seriesOf(yield* PrometheusMetrics.format())
        assert.isAbove(exported.size, 25)
        const variables: ReadonlyArray<{ readonly definition?: string }> = dashboard.templating.list
        const questions = [...targets.map(({ expr }) => expr), ...variables.map(({ definition = "" }) => definition)]
        const asked = questions.flatMap(namesIn)
        assert.isAbove(asked.length, 30)
        for (const name of asked) assert.isTrue(exported.has(name), `${name} is not exported`)
        const known = new Set(asked.map(base))
        for (const { id } of metrics) assert.isTrue(known.has(id), `${id} is missing`)
      })
    )
  )

  it("knows every metric of the sources, and so do the guides", () => {
    const declared = filesBelow("src").flatMap((path) =>
      Array.from(read(path).matchAll(/Metric\.\w+\("(socketio_\w+)"/g), ([, name]) => name!)
    )
    assert.sameMembers(
      declared,
      metrics.map(({ id }) => id)
    )
    assert.sameMembers(Array.from(documented.keys()), declared)
  })

  it("groups by attributes that the metrics have", () => {
    for (const { expr, legendFormat } of targets) {
      const attributes = new Set([
        "job",
        "instance",
        "le",
        ...namesIn(expr).flatMap((name) => documented.get(base(name))!)
      ])
      const grouped = Array.from(expr.matchAll(/by \(([^)]*)\)/g), ([, labels]) => labels!.split(", ")).flat()
      for (const label of grouped) assert.isTrue(attributes.has(label), `${label} in ${expr}`)
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) assert.include(grouped, label!, legendFormat)
      for (const [open, close] of ["()", "{}", "[]"]) {
        assert.strictEqual(expr.split(open!).length, expr.split(close!).length, expr)
      }
      // Every series is that of the chosen servers.
      assert.strictEqual(expr.split('{job=~"$job", instance=~"$instance"}').length - 1, namesIn(expr).length, expr)
    }
  })

  it.live("finds the attributes in what a server exports", () =>
    alone(
      Effect.gen(function* () {
        const { server, url } = yield* serve(
          SocketIoServer.layerNamespace("/", (socket) =>
            Effect.andThen(
              socket.on("echo", (text) => Effect.succeed(text)),
              socket.on("fail", () => Effect.die("a failure"))
            )
          )
        )
        const socket = yield* connect(url, { transports: ["websocket"] })
        yield* call(socket, "echo", 1)
        socket.emit("fail")
        socket.emit("unknown")
        yield* call(socket, "echo", 2)
        yield* Effect.promise(() => request(`${url}/socket.io/?EIO=4&transport=pigeon`))
        const { connectionCount } = Context.get(server, SocketIoServer.SocketIoServer)
        socket.disconnect()
        yield* eventually(() => Effect.runSync(connectionCount) === 0)
        const exported = seriesOf(yield* PrometheusMetrics.format())
        let checked = 0
        for (const [name, attributes] of documented) {
          const labels = exported.get(name) ?? exported.get(`${name}_count`)
          if (labels === undefined) continue
          checked++
          assert.sameMembers(Array.from(labels), Array.from(attributes), name)
        }
        assert.isAbove(checked, 10)
      })
    )
  )

  it("has panels that do not overlap, with titles and units", () => {
    const taken = new Map<string, string>()
    for (const { gridPos, title } of panels) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.isUndefined(taken.get(`${x} ${y}`), `${title} overlaps`)
          assert.isBelow(x, 24, title)
          taken.set(`${x} ${y}`, title)
        }
      }
    }
    assert.strictEqual(new Set(panels.map(({ id }) => id)).size, panels.length)
    assert.strictEqual(new Set(panels.map(({ title }) => title)).size, panels.length)
    for (const { type } of panels) assert.include(["row", "stat", "timeseries"], type)
  })
})
