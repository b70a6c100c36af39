// All systems on one rig: each has a file of its own.
import './middle-box.suite.ts';
import './tls-and-load.suite.ts';
import './roles-and-levels.suite.ts';
import './xensploit.suite.ts';
import './trust-tokens.suite.ts';
import './replay.suite.ts';
