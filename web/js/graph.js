/** Ways through a graph and its subgraphs: who feeds an input, what a node is called, which nodes there are. */

const SUBGRAPH_INPUT = -10
const MOST_HOPS = 16

/** Return the widget of a name, or undefined. */
export function widgetOf(node, name) {
  return node.widgets?.find((widget) => widget.name === name)
}

/** Return the outermost graph of the frontend's `app`. */
export function rootOf(app) {
  return app.rootGraph ?? app.graph?.rootGraph ?? app.graph
}

/** Choose a file in a list, which need not have it yet, as picking it does. */
export function choose(node, widget, file) {
  const listed = widget.options?.values
  if (Array.isArray(listed) && !listed.includes(file)) listed.push(file)
  widget.value = file
  widget.callback?.(file)
  node.graph?.setDirtyCanvas?.(true, true)
}

/** Return all nodes of a graph and of the subgraphs in it. */
export function allNodes(graph) {
  const own = graph?._nodes ?? graph?.nodes ?? []
  return own.flatMap((node) => (node.subgraph ? [node, ...allNodes(node.subgraph)] : [node]))
}

/** Return the nodes of a graph that are our blueprint: subgraphs that make a video from beginning to end. */
export function blueprints(graph) {
  const whole = (node) => allNodes(node.subgraph).some((each) => each.type === 'PortraitTalk_AnimateNetSampler')
  return allNodes(graph).filter((node) => node.subgraph && whole(node))
}

/** Return the node that a graph is the inside of, searched from the outermost graph; null where it is that one. */
export function hostOf(graph, root) {
  if (!graph || graph === root) return null
  return allNodes(root).find((node) => node.subgraph === graph) ?? null
}

/** Return the node that feeds an input, through reroutes and out of subgraphs; null where it has its own value. */
export function sourceOf(node, name, root) {
  const slot = node.inputs?.findIndex((input) => input.name === name) ?? -1
  return slot < 0 ? null : sourceAt(node, slot, root, MOST_HOPS)
}

function sourceAt(node, slot, root, hops) {
  const link = linkOf(node, slot)
  if (!link || hops < 1) return null
  if (link.origin_id === SUBGRAPH_INPUT) {
    const host = hostOf(node.graph, root)
    return host ? sourceAt(host, link.origin_slot, root, hops - 1) : null
  }
  const source = node.graph.getNodeById(link.origin_id)
  return source?.type === 'Reroute' ? sourceAt(source, 0, root, hops - 1) : (source ?? null)
}

function linkOf(node, slot) {
  const id = node.inputs?.[slot]?.link
  if (id === null || id === undefined) return null
  return node.graph?.getLink?.(id) ?? node.graph?.links?.get?.(id) ?? node.graph?.links?.[id] ?? null
}

/** Return the first node upstream of an input that `wanted` accepts, nearest first; null where there is none. */
export function upstream(node, name, root, wanted) {
  const seen = new Set()
  let front = [sourceOf(node, name, root)]
  for (let hop = 0; hop < MOST_HOPS && front.length; hop += 1) {
    const fresh = front.filter((each) => each && !seen.has(each))
    const found = fresh.find(wanted)
    if (found) return found
    for (const each of fresh) seen.add(each)
    front = fresh.flatMap((each) => (each.inputs ?? []).map((input) => sourceOf(each, input.name, root)))
  }
  return null
}

/** Return the key under which the page keeps what a node showed. */
export function locatorOf(node, root) {
  return node.graph && node.graph !== root ? `${node.graph.id}:${node.id}` : String(node.id)
}

/** Return the number by which the server calls a node: those of the subgraphs around it come first. */
export function executionId(node, root) {
  const host = hostOf(node.graph, root)
  return host ? `${executionId(host, root)}:${node.id}` : String(node.id)
}
