using FlowMM.Cli;

return await CommandLineTool.RunAsync(args);
