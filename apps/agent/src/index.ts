export { type AgentConfig, agentConfig } from './config.ts';
