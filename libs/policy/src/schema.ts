/**
 * What policies may speak of. A part of every set's digest; the auditor judges by the schema that stands in the set's own folder.
 * Roles come from the entities file alone: nothing of a request is ever a role.
 */
export const SCHEMA = `// Duties. A user has those that the entities file gives it.
entity Role enum ["viewer", "operator", "scheduler", "custodian", "auditor", "key-custodian", "administrator"];
entity Tenant;
// "<home domain>/<name>": a name means nothing outside of the VM's home.
entity Project in [Tenant];
// A SPIFFE ID, or the principal of a token.
entity User in [Role, Project];
// A trust domain: where it answers to courts, and the highest level that its hosts have.
entity Csp { jurisdictions: Set<String>, level: Long };
entity Host { level: Long };
entity Vm in [Project] {
  home: Csp,
  project: Project,
  vcpus: Long,
  memoryMiB: Long,
  diskBytes: Long,
  labels: Set<String>,
  level: Long,
  // Absent: it may go anywhere.
  jurisdictions?: Set<String>,
  // Whether who received it may send it on to others than its home.
  onward: Bool,
  legalHold: Bool,
  // The key of who must consent to each move. Absent: nobody.
  owner?: String,
  // "<accreditor>:<claim>": whoever receives it must have all of them.
  accreditations?: Set<String>,
};

// Migrations with this peer in this direction that are open, without the one in question.
type Open = { migrations: Long, memoryMiB: Long, diskBytes: Long };

// Asked by the source, of the user who wants the move.
action send appliesTo {
  principal: User,
  resource: Vm,
  context: {
    source: Csp, target: Csp, mode: String, time: datetime, weekday: String, open: Open,
    // What the target must do to the volumes on arrival: none, slot or full.
    rekey: String,
    approvers: Set<User>,
    // Someone else than the asker, who may approve, has approved.
    secondPerson: Bool,
    // The owner's: GIVEN, or the code of what is wrong with it.
    consent: String,
    // What accreditors whom we accept say of the target: "<accreditor>:<claim>"; the highest level of any, or 0.
    accredited: Set<String>,
    accreditedLevel: Long,
    // Whether that is all that the VM demands: GIVEN, or the code of what is wrong.
    accreditation: String,
  },
};
// Asked by the target, of the CSP that wants to send.
action receive appliesTo {
  principal: Csp,
  resource: Vm,
  context: {
    source: Csp, target: Csp, mode: String, time: datetime, weekday: String, open: Open,
    rekey: String,
    secondPerson: Bool,
    consent: String,
    // What accreditors whom we accept say of the source.
    accredited: Set<String>,
    accreditedLevel: Long,
    // The highest level of our hosts that are up.
    hostLevel: Long,
  },
};
// Asked by the source, of the user who approves another one's request.
action approve appliesTo {
  principal: User,
  resource: Vm,
  context: { asker: User, source: Csp, target: Csp, mode: String, time: datetime, weekday: String },
};
// Asked by the source, of each user whose word breaks the glass: takes a VM back whose released key has no answer.
action "break-glass" appliesTo {
  principal: User,
  resource: Vm,
  context: {
    source: Csp, target: Csp, mode: String, time: datetime, weekday: String,
    // When the key was released: nobody has run the VM since, as far as the source knows.
    released: datetime,
    // All who signed, the principal among them. The owner's word is no matter of policy.
    persons: Set<User>,
  },
};
`;
