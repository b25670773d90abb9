// One connection as FlowFuse makes it: Sequelize and pg with `dialectOptions.ssl = true`. Prints what came of it.
const { Sequelize } = require('sequelize')

const [host, port, password] = process.argv.slice(2)
const sequelize = new Sequelize({
    dialect: 'postgres',
    host,
    port: Number(port),
    username: 'postgres',
    password,
    database: 'postgres',
    dialectOptions: { ssl: true },
    logging: false
})
sequelize.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()', { plain: true }).then(
    row => ({ accepted: true, encrypted: row.ssl }),
    error => ({ accepted: false, code: error.original?.code ?? null, message: error.original?.message ?? error.message })
).then(answer => { console.log(JSON.stringify(answer)); return sequelize.close() })
