-- strigo.sql: the reference application: the resources of a training platform, and their eleven events.
--
-- The columns carry the fields of Strigo's own resources, under Strigo's names; where a resource nests, the
-- column's name joins the steps (owner.email is owner_email, features.video is features_video). What happens to
-- the rows is what Strigo's subscriptions announce, and the payload of an event is the bare resource as Strigo's
-- REST API shows it. Any program that writes these tables causes the events, whichever program it is.
--
--   resthookd sql training.db < sql/strigo.sql          or, in a shell that has loaded the extension, .read it
--
-- It can be run again: tables stay as they are, watches are replaced.
--
-- What holds for every table:
--   * Only an id, and what the resource can't be without, is required. Every other column may be left out, and gets
--     Strigo's default where Strigo has one.
--   * A column that is NULL is left out of the payload, not sent as null: so are times that have not happened. No
--     clock of the database fills them: the application says when a thing happened.
--   * Times are text, ISO 8601 in UTC with milliseconds ('2018-09-20T11:00:00.000Z'). They are sent as written.
--   * Booleans are 0 and 1, and true and false in the payload. Lists are JSON text, and lists in the payload.
--   * A CHECK stands only where Strigo's documentation names all values there are.
--   * No foreign keys: rows come in any order, and the other side of a reference may be kept elsewhere.

SELECT resthook_init();

-- A partner organisation.
--   id    unique
--   name  as the parent organisation calls it
CREATE TABLE IF NOT EXISTS partner(
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL
);

-- Somebody of the organisation's team, or of a partner's; or an invitation to become that.
--   id          unique
--   email       address
--   role        owner, member, partner; NULL: member, and none yet while it is an invitation
--   partner_id  partner.id of a partner's member
--   status      'pending' in an invitation; NULL in a member
--   link        where an invitation is accepted
--   created_at  when it was sent
CREATE TABLE IF NOT EXISTS member(
  id TEXT PRIMARY KEY NOT NULL,
  email TEXT NOT NULL,
  role TEXT,
  partner_id TEXT,
  status TEXT,
  link TEXT,
  created_at TEXT
);

-- A class template, which events and courses are based on.
--   id                     unique
--   name, description
--   owner_id               member.id of who created it; the payload's owner has the member's email too
--   resources              list: its lab resources, objects {"id","name","type","instance_type","image_id",…}
--   presentation_notes     list: the notes of its presentation, objects {"page","content"}
--   presentation_filename  name of the presentation's file
--   created_at, updated_at
--   labels                 list of texts
CREATE TABLE IF NOT EXISTS class(
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  owner_id TEXT,
  description TEXT,
  resources TEXT DEFAULT '[]',
  presentation_notes TEXT DEFAULT '[]',
  presentation_filename TEXT,
  created_at TEXT,
  updated_at TEXT,
  labels TEXT
);

-- A course that learners take on demand, each at a time of their own.
--   id                    unique
--   name
--   class_id              class.id it is based on
--   course_link           where it is attended
--   external_id           what its maker calls it elsewhere
--   duration              how long an enrollment lasts once it was started …
--   duration_unit         … in days or hours
--   activity_hours_limit  hours of work that an enrollment has
--   features_video, features_slides, features_lab_manual_pause
--                         booleans: includes video; includes slides; hides the lab's pause button
--   status                online, offline
--   labels                list of texts
CREATE TABLE IF NOT EXISTS ondemand(
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  class_id TEXT,
  course_link TEXT,
  external_id TEXT,
  duration NUMERIC,
  duration_unit TEXT CHECK (duration_unit IN ('days', 'hours')),
  activity_hours_limit NUMERIC,
  features_video BOOLEAN,
  features_slides BOOLEAN,
  features_lab_manual_pause BOOLEAN,
  status TEXT CHECK (status IN ('online', 'offline')),
  labels TEXT
);

-- One learner's access to one course.
--   id                    unique
--   course_id             ondemand.id
--   email                 the learner's
--   status                enrolled, started, inactive, paused, expired, finished …; it ends with one of the last two
--   enrolled_at, started_at, first_activity, paused_at, inactivated_at, stopped_at, expired_at, finished_at
--                         when the learner was enrolled, began, was first active; when it was paused …
--   end_date              when it is to end
--   exercises             list: {"id","title","status":"OPEN"|"DONE","finished_at"}
--   expiration_date       when it ends at the latest, whenever it was started
--   timezone              of expiration_date; NULL: Etc/UTC
--   active_time_left      minutes of work that are left
--   enrollment_time_left  minutes until end_date
CREATE TABLE IF NOT EXISTS enrollment(
  id TEXT PRIMARY KEY NOT NULL,
  course_id TEXT NOT NULL,
  email TEXT NOT NULL,
  status TEXT DEFAULT 'enrolled',
  enrolled_at TEXT,
  started_at TEXT,
  first_activity TEXT,
  paused_at TEXT,
  inactivated_at TEXT,
  stopped_at TEXT,
  expired_at TEXT,
  finished_at TEXT,
  end_date TEXT,
  exercises TEXT,
  expiration_date TEXT,
  timezone TEXT,
  active_time_left NUMERIC,
  enrollment_time_left NUMERIC
);

-- A class that is held at a time for many.
--   id                       unique
--   name, description
--   owner_id                 member.id of the host; the payload's owner has the member's email too
--   event_link               where it is attended
--   token                    public access token
--   class_id                 class.id it is based on
--   availability             public, private
--   date_start, date_end
--   include_chat, include_video, is_recorded
--                            booleans
--   include_lab_exercises    boolean: whether the class's exercises are part of it
--   tas, trainees            lists of e-mail addresses: assistants; learners (of a private event)
--   status                   ready, live, … finished
--   partner_id               partner.id it belongs to
--   labels                   list of texts
--   timezone, captions_language
--                            Strigo takes them and does not show them: they are in no payload, but an update of
--                            them is an update
CREATE TABLE IF NOT EXISTS event(
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  owner_id TEXT,
  event_link TEXT,
  token TEXT,
  class_id TEXT,
  availability TEXT DEFAULT 'public' CHECK (availability IN ('public', 'private')),
  description TEXT,
  date_start TEXT,
  date_end TEXT,
  include_chat BOOLEAN DEFAULT 0,
  include_video BOOLEAN DEFAULT 0,
  tas TEXT DEFAULT '[]',
  trainees TEXT DEFAULT '[]',
  status TEXT DEFAULT 'ready',
  partner_id TEXT,
  include_lab_exercises BOOLEAN,
  labels TEXT,
  is_recorded BOOLEAN DEFAULT 0,
  timezone TEXT DEFAULT 'Etc/UTC',
  captions_language TEXT DEFAULT 'en-US'
);

-- Somebody in an event: Strigo's workspace.
--   id                    unique
--   event_id              event.id
--   type                  learner, host, ta: only a learner's is a learner.join
--   owner_id, owner_email
--                         whose it is; they need not be a member
--   created_at            when they joined
--   viewstate             where in the classroom they are
--   online_status         whether they are active
--   last_seen             when they last were
--   need_assistance       boolean: they ask for help
CREATE TABLE IF NOT EXISTS learner(
  id TEXT PRIMARY KEY NOT NULL,
  event_id TEXT NOT NULL,
  type TEXT DEFAULT 'learner' CHECK (type IN ('host', 'ta', 'learner')),
  owner_id TEXT,
  owner_email TEXT,
  created_at TEXT,
  viewstate TEXT,
  online_status TEXT,
  last_seen TEXT,
  need_assistance BOOLEAN DEFAULT 0
);

-- The watches. fields: path in the payload, its type where it is not the value's own, '?' to leave it out when it is
-- NULL, and the expression. Where a table has several events, they share one definition of the resource.

SELECT resthook_watch('partner', 'insert', 'partner.create', '{"fields": {
  "id":   "NEW.id",
  "name": "NEW.name"
}}');

SELECT resthook_watch('member', 'insert', 'member.create', '{"fields": {
  "id":          "NEW.id",
  "email":       "NEW.email",
  "role?":       "coalesce(NEW.role, CASE WHEN NEW.status IS NULL THEN ''member'' END)",
  "partner_id?": "NEW.partner_id",
  "status?":     "NEW.status",
  "link?":       "NEW.link",
  "created_at?": "NEW.created_at"
}}');

SELECT resthook_watch('class', 'insert', 'class.create', '{"fields": {
  "id":                       "NEW.id",
  "name":                     "NEW.name",
  "owner.email?":             "(SELECT email FROM member WHERE id = NEW.owner_id)",
  "owner.id?":                "NEW.owner_id",
  "description?":             "NEW.description",
  "resources:json?":          "NEW.resources",
  "presentation_notes:json?": "NEW.presentation_notes",
  "presentation_filename?":   "NEW.presentation_filename",
  "created_at?":              "NEW.created_at",
  "updated_at?":              "NEW.updated_at",
  "labels:json?":             "NEW.labels"
}}');

SELECT resthook_watch('ondemand', 'insert', 'ondemand.create', '{"fields": {
  "id":                              "NEW.id",
  "name":                            "NEW.name",
  "class_id?":                       "NEW.class_id",
  "course_link?":                    "NEW.course_link",
  "external_id?":                    "NEW.external_id",
  "duration?":                       "NEW.duration",
  "duration_unit?":                  "NEW.duration_unit",
  "activity_hours_limit?":           "NEW.activity_hours_limit",
  "features.video:bool?":            "NEW.features_video",
  "features.slides:bool?":           "NEW.features_slides",
  "features.lab_manual_pause:bool?": "NEW.features_lab_manual_pause",
  "status?":                         "NEW.status",
  "labels:json?":                    "NEW.labels"
}}');

-- An enrollment is finished when its status becomes one of the two that end it, and was neither before. A row that
-- is inserted with such a status is only created.
WITH resource(fields) AS (VALUES ('{
  "id":                    "NEW.id",
  "course_id":             "NEW.course_id",
  "email":                 "NEW.email",
  "status?":               "NEW.status",
  "enrolled_at?":          "NEW.enrolled_at",
  "started_at?":           "NEW.started_at",
  "first_activity?":       "NEW.first_activity",
  "paused_at?":            "NEW.paused_at",
  "inactivated_at?":       "NEW.inactivated_at",
  "stopped_at?":           "NEW.stopped_at",
  "expired_at?":           "NEW.expired_at",
  "finished_at?":          "NEW.finished_at",
  "end_date?":             "NEW.end_date",
  "exercises:json?":       "NEW.exercises",
  "expiration_date?":      "NEW.expiration_date",
  "timezone?":             "coalesce(NEW.timezone, CASE WHEN NEW.expiration_date IS NOT NULL THEN ''Etc/UTC'' END)",
  "active_time_left?":     "NEW.active_time_left",
  "enrollment_time_left?": "NEW.enrollment_time_left"
}'))
SELECT resthook_watch('enrollment', 'insert', 'enrollment.create', json_object('fields', json(fields)))
  FROM resource
UNION ALL
SELECT resthook_watch('enrollment', 'update of status', 'enrollment.finished', json_object(
         'fields', json(fields),
         'changed', json_array('status'),
         'when', 'NEW.status IN (''finished'', ''expired'')
                  AND ifnull(OLD.status, '''') NOT IN (''finished'', ''expired'')'))
  FROM resource;

-- An event's end is event.finish and not event.update as well; an update that changes nothing is neither.
WITH
  resource(fields) AS (VALUES ('{
    "id":                          "NEW.id",
    "name":                        "NEW.name",
    "owner.email?":                "(SELECT email FROM member WHERE id = NEW.owner_id)",
    "owner.id?":                   "NEW.owner_id",
    "event_link?":                 "NEW.event_link",
    "token?":                      "NEW.token",
    "class_id?":                   "NEW.class_id",
    "availability?":               "NEW.availability",
    "description?":                "NEW.description",
    "date_start?":                 "NEW.date_start",
    "date_end?":                   "NEW.date_end",
    "include_chat:bool?":          "NEW.include_chat",
    "include_video:bool?":         "NEW.include_video",
    "tas:json?":                   "NEW.tas",
    "trainees:json?":              "NEW.trainees",
    "status?":                     "NEW.status",
    "partner_id?":                 "NEW.partner_id",
    "include_lab_exercises:bool?": "NEW.include_lab_exercises",
    "labels:json?":                "NEW.labels",
    "is_recorded:bool?":           "NEW.is_recorded"
  }')),
  every_column(names) AS (SELECT json_group_array(name) FROM pragma_table_info('event'))
SELECT resthook_watch('event', 'insert', 'event.create', json_object('fields', json(fields)))
  FROM resource
UNION ALL
SELECT resthook_watch('event', 'update', 'event.update', json_object(
         'fields', json(fields),
         'changed', json(names),
         'when', 'NEW.status IS NOT ''finished'' OR OLD.status IS ''finished'''))
  FROM resource, every_column
UNION ALL
SELECT resthook_watch('event', 'update of status', 'event.finish', json_object(
         'fields', json(fields),
         'changed', json_array('status'),
         'when', 'NEW.status IS ''finished'' AND OLD.status IS NOT ''finished'''))
  FROM resource
UNION ALL
SELECT resthook_watch('event', 'delete', 'event.delete', json_object(
         'fields', json(replace(fields, 'NEW.', 'OLD.'))))
  FROM resource;

SELECT resthook_watch('learner', 'insert', 'learner.join', '{
  "when": "ifnull(NEW.type, ''learner'') = ''learner''",
  "fields": {
    "id":                    "NEW.id",
    "event_id":              "NEW.event_id",
    "type?":                 "NEW.type",
    "owner.email?":          "NEW.owner_email",
    "owner.id?":             "NEW.owner_id",
    "created_at?":           "NEW.created_at",
    "viewstate?":            "NEW.viewstate",
    "online_status?":        "NEW.online_status",
    "last_seen?":            "NEW.last_seen",
    "need_assistance:bool?": "NEW.need_assistance"
  }
}');
