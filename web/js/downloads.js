/** The button of the loaders: says which public files a model needs, and fetches those that are missing if told to. */
import { widgetOf } from './graph.js'
import { text } from './texts.js'

const POLL_MS = 2000

/** Write a number of bytes as people do. */
export function size(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${Math.max(1, Math.round(bytes / 1e6))} MB`
}

/** Return what the dialog lists: each missing file with its size, licence and place, the forbidding ones marked. */
export function lines(files) {
  return files
    .filter((file) => !file.here)
    .map((file) => {
      const mark = file.commercial === 'no' ? ` · ${text('nonCommercial')}` : ''
      return `${file.file} · ${size(file.bytes)} · ${file.licence}${mark}`
    })
}

/** Return what the button says of a fetching. */
export function label({ file, done, of, error }) {
  if (error) return text('downloadFailed')
  if (file) return `${text('downloading')} ${done + 1} / ${of}: ${file}`
  return text('download')
}

/** Return under which name the server knows the files of a model, with those that `fast` takes in their place. */
export function recipe(model, fast) {
  return `${model}${fast ? '-fast' : ''}`
}

/** Put the button on a loader. `host` is the frontend: `app` and `api`. */
export function addDownload(node, host) {
  const button = node.addWidget('button', 'download', null, () => ask(node, button, host), { serialize: false })
  button.serialize = false
  button.label = text('download')
}

async function ask(node, button, { app, api }) {
  const toast = app.extensionManager?.toast
  const model = recipe(widgetOf(node, 'model')?.value, widgetOf(node, 'fast')?.value)
  const answer = await api.fetchApi(`/portraittalk/files?${new URLSearchParams({ model })}`)
  const missing = answer.ok ? lines(await answer.json()) : []
  if (!missing.length) {
    toast?.add?.({ severity: 'info', summary: model, detail: text('nothingMissing'), life: 6000 })
    return
  }
  const sure = await app.extensionManager.dialog.confirm({
    title: `${text('download')}: ${model}`,
    message: text('downloadAsk'),
    itemList: missing,
  })
  if (!sure) return
  // Who has read the list and confirmed has accepted the licences in it.
  const body = JSON.stringify({ model, accepted: true })
  const started = await api.fetchApi('/portraittalk/downloads', { method: 'POST', body })
  if (!started.ok) toast?.add?.({ severity: 'error', summary: model, detail: await started.text() })
  else follow(node, button, api, toast)
}

async function follow(node, button, api, toast) {
  const answer = await api.fetchApi('/portraittalk/downloads')
  const progress = answer.ok ? await answer.json() : { error: answer.statusText }
  button.label = label(progress)
  node.setDirtyCanvas?.(true, true)
  if (progress.file) setTimeout(() => follow(node, button, api, toast), POLL_MS)
  else if (progress.error) toast?.add?.({ severity: 'error', summary: progress.model, detail: progress.error })
  else toast?.add?.({ severity: 'success', summary: progress.model, detail: text('downloaded') })
}
