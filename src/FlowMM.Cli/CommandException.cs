namespace FlowMM.Cli;

/// <summary>A command cannot go on; the message is what the user reads.</summary>
/// <param name="message">What is wrong and how to mend it, in one line.</param>
public class CommandException(string message) : Exception(message);

/// <summary>A command was called wrongly; it ends with exit code 2.</summary>
/// <param name="message">What is wrong, in one line.</param>
public sealed class UsageException(string message) : CommandException(message);
