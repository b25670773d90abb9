-- The tables of FlowFuse 2.33 that hold what the bridge reads, with the columns that make their rows believable.
-- Timestamps are text in UTC, as FlowFuse writes them: 2026-01-31 12:00:17.515 +00:00

CREATE TABLE "MetaVersions" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "version" VARCHAR(255) NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "PlatformSettings" (
  "key" VARCHAR(255) NOT NULL PRIMARY KEY, "value" TEXT, "valueType" INTEGER NOT NULL,
  "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "TeamTypes" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "name" VARCHAR(255) NOT NULL UNIQUE, "active" TINYINT(1) DEFAULT 1,
  "order" INTEGER DEFAULT 0, "description" TEXT, "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "Teams" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "name" VARCHAR(255) NOT NULL, "slug" VARCHAR(255) UNIQUE,
  "suspended" TINYINT(1) DEFAULT 0, "TeamTypeId" INTEGER REFERENCES "TeamTypes" ("id"),
  "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "Users" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "username" VARCHAR(255) NOT NULL UNIQUE, "name" VARCHAR(255),
  "email" VARCHAR(255) UNIQUE, "email_verified" TINYINT(1) DEFAULT 0, "admin" TINYINT(1) NOT NULL DEFAULT 0,
  "suspended" TINYINT(1) DEFAULT 0, "defaultTeamId" INTEGER REFERENCES "Teams" ("id") ON DELETE SET NULL,
  "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "AuditLogs" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "event" VARCHAR(255), "body" TEXT, "entityId" VARCHAR(255),
  "entityType" VARCHAR(255), "source" VARCHAR(255) DEFAULT NULL, "UserId" INTEGER, "createdAt" DATETIME NOT NULL
);

CREATE TABLE "Invitations" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "external" TINYINT(1) NOT NULL, "expiresAt" DATETIME,
  "email" VARCHAR(255), "role" INTEGER, "teamId" INTEGER REFERENCES "Teams" ("id") ON DELETE SET NULL,
  "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "ProjectStacks" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "name" VARCHAR(255) NOT NULL UNIQUE, "label" VARCHAR(255),
  "active" TINYINT(1) DEFAULT 1, "properties" TEXT, "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "ProjectTemplates" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "name" VARCHAR(255) NOT NULL UNIQUE, "active" TINYINT(1) DEFAULT 1,
  "description" TEXT DEFAULT '', "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "Projects" (
  "id" UUID PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "type" VARCHAR(255) NOT NULL, "url" VARCHAR(255) NOT NULL,
  "state" VARCHAR(255) NOT NULL DEFAULT 'running', "safeName" VARCHAR(255) NOT NULL UNIQUE,
  "TeamId" INTEGER REFERENCES "Teams" ("id") ON DELETE SET NULL,
  "ProjectStackId" INTEGER REFERENCES "ProjectStacks" ("id"),
  "ProjectTemplateId" INTEGER REFERENCES "ProjectTemplates" ("id"),
  "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "Devices" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "name" VARCHAR(255) NOT NULL, "type" VARCHAR(255) NOT NULL,
  "state" VARCHAR(255) NOT NULL DEFAULT '', "lastSeenAt" DATETIME, "agentVersion" VARCHAR(255),
  "mode" VARCHAR(255) DEFAULT 'autonomous', "TeamId" INTEGER REFERENCES "Teams" ("id") ON DELETE SET NULL,
  "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "ProjectSnapshots" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "name" VARCHAR(255) NOT NULL, "description" TEXT,
  "ProjectId" UUID REFERENCES "Projects" ("id") ON DELETE CASCADE,
  "DeviceId" INTEGER REFERENCES "Devices" ("id") ON DELETE CASCADE,
  "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "StorageLibraries" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "name" TEXT NOT NULL, "type" TEXT NOT NULL, "body" TEXT NOT NULL DEFAULT '',
  "ProjectId" UUID REFERENCES "Projects" ("id") ON DELETE SET NULL,
  "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "StorageSharedLibraries" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "name" TEXT NOT NULL, "type" TEXT NOT NULL, "body" TEXT NOT NULL DEFAULT '',
  "TeamId" INTEGER REFERENCES "Teams" ("id") ON DELETE CASCADE,
  "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "FlowTemplates" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "name" VARCHAR(255) NOT NULL, "active" TINYINT(1) DEFAULT 1,
  "category" VARCHAR(255) DEFAULT '', "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "TeamBrokerClients" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "username" VARCHAR(255) NOT NULL, "acls" VARCHAR(255) DEFAULT '#',
  "TeamId" INTEGER REFERENCES "Teams" ("id") ON DELETE CASCADE, "createdAt" DATETIME, "updatedAt" DATETIME
);

CREATE TABLE "BrokerCredentials" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "name" VARCHAR(255) NOT NULL, "host" VARCHAR(255) NOT NULL,
  "port" INTEGER NOT NULL, "protocol" VARCHAR(255) NOT NULL, "state" VARCHAR(255) NOT NULL,
  "TeamId" INTEGER REFERENCES "Teams" ("id") ON DELETE CASCADE, "createdAt" DATETIME, "updatedAt" DATETIME
);

CREATE TABLE "Subscriptions" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT, "customer" VARCHAR(255) NOT NULL, "subscription" VARCHAR(255) NOT NULL,
  "status" TEXT NOT NULL DEFAULT 'active', "trialStatus" TEXT NOT NULL DEFAULT 'none', "trialEndsAt" DATETIME,
  "TeamId" INTEGER REFERENCES "Teams" ("id") ON DELETE SET NULL,
  "createdAt" DATETIME NOT NULL, "updatedAt" DATETIME NOT NULL
);
