/** Notes: what a node says without stopping. A toast when it comes, and a sign on the node until it runs again. */
import { make } from './drawing.js'
import { allNodes, executionId, upstream, widgetOf } from './graph.js'
import { text } from './texts.js'

const SHOWN_MS = 15000
const noted = new WeakMap()

/** Return the notes of a node, oldest first. */
export function notesOf(node) {
  return noted.get(node) ?? []
}

/** Keep the notes of a node and show those that are new; none clears the sign. */
export function setNotes(node, notes, toast) {
  const before = notesOf(node)
  noted.set(node, notes)
  for (const detail of notes) {
    if (!before.includes(detail)) toast?.add?.({ severity: 'warn', summary: node.title, detail, life: SHOWN_MS })
  }
  node.graph?.setDirtyCanvas?.(true, true)
}

/** Draw the sign of a node that has notes, at the right end of its title. */
export function drawSign(node, context) {
  if (!notesOf(node).length || node.flags?.collapsed) return
  const [x, y] = [node.size[0] - 16, -15]
  context.save()
  context.fillStyle = '#e0a52e'
  context.beginPath()
  context.arc(x, y, 9, 0, 2 * Math.PI)
  context.fill()
  context.fillStyle = '#111'
  context.font = 'bold 13px sans-serif'
  context.textAlign = 'center'
  context.fillText('!', x, y + 5)
  context.restore()
}

/** Put the signs of a graph's nodes on the page where nodes are part of it, and take away those that are over. */
export function placeSigns(graph, page) {
  for (const element of page.querySelectorAll('[data-node-id]')) {
    const id = element.dataset.nodeId
    const node = graph?.getNodeById(Number.isNaN(Number(id)) ? id : Number(id))
    const words = node ? notesOf(node).join('\n') : ''
    const there = element.querySelector(':scope > .pt-sign')
    if (!words) there?.remove()
    else if (there) there.title = words
    else element.append(make('div', 'pt-sign', { role: 'img', title: words, 'aria-label': words }))
  }
}

/** Forget the notes of the node that begins to run, by the number that the server calls it by. */
export function clearNotes(root, id) {
  for (const node of allNodes(root)) {
    if (notesOf(node).length && executionId(node, root) === String(id)) setNotes(node, [])
  }
}

/**
 * Return `[node, note]` for every Create Video whose own frame rate is another than that at which Encode Audio, upstream
 * of its pictures, has listened: the mouth would run away from the sound.
 */
export function rateNotes(root) {
  const found = []
  for (const node of allNodes(root)) {
    if (node.type !== 'CreateVideo' || node.inputs?.find((input) => input.name === 'fps')?.link) continue
    const encoder = upstream(node, 'images', root, (each) => each.type === 'PortraitTalk_EncodeAudio')
    const [shown, heard] = [node, encoder].map((each) => Number(each && widgetOf(each, 'fps')?.value))
    if (encoder && Number.isFinite(shown) && Number.isFinite(heard) && shown !== heard) {
      found.push([node, text('otherRate').replace('{shown}', shown).replace('{heard}', heard)])
    }
  }
  return found
}
