// One rig for all of these, in this order: what ends B's honesty comes last.
import './doors.suite.ts';
import './persons.suite.ts';
import './http-words.suite.ts';
import './certificates.suite.ts';
import './data-path.suite.ts';
import './database.suite.ts';
import './agent-channel.suite.ts';
import './peer-events.suite.ts';
import './announcements.suite.ts';
import './rogue-source.suite.ts';
import './rogue-target.suite.ts';
import './fork.suite.ts';
