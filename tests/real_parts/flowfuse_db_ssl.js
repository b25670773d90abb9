// Which values of `db.ssl` FlowFuse hands on: its own forge/db/index.js, with a Sequelize that only shows its options.
const Module = require('module')
const path = require('path')
const YAML = require('yaml')

const flowfuse = path.resolve(process.argv[2])
const shown = Symbol('shown')
const load = Module._load
Module._load = function (name, parent, ...rest) {
    if (name === 'sequelize') return { Sequelize: class { constructor (options) { throw Object.assign(new Error(), { [shown]: options }) } } }
    if (name === 'fastify-plugin') return plugin => plugin
    if (name.startsWith('./') && parent.filename === path.join(flowfuse, 'forge/db/index.js')) return { init () {} }
    return load.call(this, name, parent, ...rest)
}
const connect = require(path.join(flowfuse, 'forge/db/index.js'))

async function dialectOptions (written) {
    const config = YAML.parse(`db:\n  type: postgres\n  ssl: ${written}\n`)
    try {
        await connect({ config, log: { info () {} }, decorate () {}, addHook () {} })
    } catch (error) {
        if (error[shown]) return error[shown].dialectOptions ?? null
        throw error
    }
}

(async () => {
    const answers = {}
    for (const written of JSON.parse(process.argv[3])) answers[written] = await dialectOptions(written)
    console.log(JSON.stringify(answers))
})()
